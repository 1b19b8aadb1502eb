#include "../../src/pipeline/output_error.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace ptq::detail {
namespace {

// Against the outputs themselves in float64.  A sum of `in` products of float32 is exact to
// in · 2^-24 of the sum of their magnitudes, here some 10 times the result.
TEST(OutputError, IsThatOfTheOutputs) {
  at::manual_seed(1);
  const int64_t in = 64, out = 24;
  const at::Tensor x = at::randn({200, in}).mul_(at::rand({in}));
  const at::Tensor weight = at::randn({out, in});
  QuantizedTensor quantized;
  quantized.scheme = {3, 16, true};
  quantized.scale = at::full({out, 4}, 0.5f);
  quantized.zero = at::full({out, 4}, 4, at::kByte);
  quantized.q = weight.div(0.5).round().add(4).clamp(0, 7).to(at::kByte);
  quantized.group_of = contiguous_groups(quantized.scheme, in);
  const at::Tensor x64 = x.to(at::kDouble), w64 = weight.to(at::kDouble);
  const at::Tensor error = quantized.dequantize().to(at::kDouble) - w64;
  const double expected = x64.matmul(error.t()).square().sum().item<double>() /
                          x64.matmul(w64.t()).square().sum().item<double>();
  const at::Tensor gram = x64.t().matmul(x64).to(at::kFloat);
  EXPECT_GT(expected, 1e-3);
  EXPECT_NEAR(relative_output_error(weight, quantized, gram), expected,
              10 * 64 * 0x1p-24 * expected);
}

TEST(OutputError, IsNothingWhereNothingComesOut) {
  QuantizedTensor quantized;
  quantized.scheme = {4, -1, true};
  quantized.scale = at::ones({8, 1});
  quantized.zero = at::full({8, 1}, 8, at::kByte);
  quantized.q = at::full({8, 16}, 9, at::kByte);
  quantized.group_of = contiguous_groups(quantized.scheme, 16);
  EXPECT_EQ(relative_output_error(at::ones({8, 16}), quantized, at::zeros({16, 16})), 0);
}

}  // namespace
}  // namespace ptq::detail
