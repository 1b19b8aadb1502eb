#include "ptq/quant/quantized_tensor.h"

#include <cmath>
#include <functional>
#include <stdexcept>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "ptq/core/error.h"

namespace ptq {
namespace {

QuantizedTensor random_weight(const QuantScheme& scheme, int64_t out, int64_t in) {
  const int64_t groups = scheme.groups(in);
  const int levels = 1 << scheme.bits;
  QuantizedTensor weight;
  weight.scheme = scheme;
  weight.q = at::randint(0, levels, {out, in}, at::kByte);
  weight.scale = storable_scale(at::randn({out, groups}), at::kFloat);
  weight.zero = scheme.symmetric ? at::full({out, groups}, levels / 2, at::kByte)
                                 : at::randint(0, levels, {out, groups}, at::kByte);
  weight.group_of = contiguous_groups(scheme, in);
  return weight;
}

// The formula of the header in float64.
at::Tensor formula(const QuantizedTensor& w) {
  const at::Tensor group = w.group_of.to(at::kLong);
  return w.scale.to(at::kDouble).index_select(1, group) *
         (w.q.to(at::kDouble) - w.zero.to(at::kDouble).index_select(1, group));
}

// q − zero is exact, so the product is the one rounding: the float32 nearest to the exact value.
TEST(QuantizedTensor, DequantizesToTheNearestFloatOfTheFormula) {
  at::manual_seed(1);
  for (const QuantScheme& scheme : {QuantScheme{4, 32, true}, QuantScheme{3, 8, false},
                                    QuantScheme{8, -1, false}, QuantScheme{2, 48, true}}) {
    const QuantizedTensor weight = random_weight(scheme, 7, 100);
    EXPECT_TRUE(weight.dequantize().equal(formula(weight).to(at::kFloat))) << scheme.name();
  }
}

TEST(QuantizedTensor, DequantizesActivationOrderedGroups) {
  at::manual_seed(2);
  QuantizedTensor weight = random_weight({4, 16, false}, 5, 64);
  weight.group_of = weight.group_of.index_select(0, at::randperm(64));
  EXPECT_NO_THROW(weight.check());
  EXPECT_TRUE(weight.dequantize().equal(formula(weight).to(at::kFloat)));
  // Runs of the right length, but not in order.
  weight.group_of = 3 - contiguous_groups({4, 16, false}, 64);
  EXPECT_TRUE(weight.dequantize().equal(formula(weight).to(at::kFloat)));
}

TEST(QuantizedTensor, CheckAcceptsWhatIsDocumented) {
  at::manual_seed(3);
  EXPECT_NO_THROW(random_weight({4, 32, true}, 6, 96).check());
  EXPECT_NO_THROW(random_weight({3, -1, false}, 6, 97).check());
}

TEST(QuantizedTensor, CheckRefusesEachFault) {
  at::manual_seed(4);
  const QuantizedTensor good = random_weight({3, 32, false}, 4, 64);
  const auto refuses = [&](const std::function<void(QuantizedTensor&)>& spoil) {
    QuantizedTensor bad = good;
    spoil(bad);
    EXPECT_THROW(bad.check(), std::logic_error);
  };
  refuses([](QuantizedTensor& w) { w.q = w.q.to(at::kInt); });
  refuses([](QuantizedTensor& w) { (w.q = w.q.clone()).select(1, 5).fill_(8); });
  refuses([](QuantizedTensor& w) { w.zero = at::full_like(w.zero, 8); });
  refuses([](QuantizedTensor& w) { w.zero = w.zero.narrow(1, 0, 1); });
  refuses([](QuantizedTensor& w) { w.scale = at::zeros_like(w.scale); });
  refuses([](QuantizedTensor& w) { w.scale = w.scale * std::nan(""); });
  refuses([](QuantizedTensor& w) { w.scale = w.scale.narrow(0, 0, 3); });
  refuses([](QuantizedTensor& w) { w.group_of = w.group_of + 1; });
  refuses([](QuantizedTensor& w) { w.group_of = w.group_of - 1; });
  refuses([](QuantizedTensor& w) { w.group_of = w.group_of.narrow(0, 0, 63); });
  refuses([](QuantizedTensor& w) { w.scheme.symmetric = true; });
}

TEST(StorableScale, IsExactInEveryFormatAndIdempotent) {
  at::manual_seed(5);
  const at::Tensor scale = at::randn({1000}) * at::pow(2.0, at::randn({1000}) * 8).clamp_max(8192);
  for (const at::ScalarType dtype : {at::kFloat, at::kHalf, at::kBFloat16}) {
    const at::Tensor stored = storable_scale(scale, dtype);
    EXPECT_TRUE(stored.to(at::kHalf).to(at::kFloat).equal(stored));
    EXPECT_TRUE(stored.to(dtype).to(at::kFloat).equal(stored));
    EXPECT_TRUE(storable_scale(stored, dtype).equal(stored));
    EXPECT_TRUE(stored.sign().equal(scale.sign()));
  }
}

TEST(StorableScale, RoundsToNearestEven) {
  const float half_ulp = 0x1p-11f;  // of float16 at 1
  const at::Tensor scale = at::tensor({1 + half_ulp, 1 + 3 * half_ulp, 1 + 1.01f * half_ulp});
  EXPECT_TRUE(storable_scale(scale, at::kFloat)
                  .equal(at::tensor({1.0f, 1 + 4 * half_ulp, 1 + 2 * half_ulp})));
}

TEST(StorableScale, IsNeverZeroAndKeepsTheSign) {
  const at::Tensor scale = at::tensor({0.0f, 1e-30f, -1e-30f, -1e-9f});
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16})
    EXPECT_TRUE(
        storable_scale(scale, dtype).equal(at::tensor({0x1p-24f, 0x1p-24f, -0x1p-24f, -0x1p-24f})));
}

TEST(StorableScale, RefusesWhatFloat16CannotHold) {
  EXPECT_NO_THROW(storable_scale(at::tensor({65504.0f}), at::kFloat));
  EXPECT_THROW(storable_scale(at::tensor({65536.0f}), at::kFloat), NumericalError);
  EXPECT_THROW(storable_scale(at::tensor({1.0f, -1e6f}), at::kFloat), NumericalError);
  EXPECT_THROW(storable_scale(at::tensor({std::nanf("")}), at::kFloat), NumericalError);
  // 65504 rounds up to 65536 in bfloat16, which float16 lacks.
  EXPECT_THROW(storable_scale(at::tensor({65504.0f}), at::kBFloat16), NumericalError);
  EXPECT_NO_THROW(storable_scale(at::tensor({65280.0f}), at::kBFloat16));
}

}  // namespace
}  // namespace ptq
