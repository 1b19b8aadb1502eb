#include "../src/quantizers/group_clip.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "site_fixture.h"

namespace ptq::quantizer {
namespace {

/// float64 [out, groups]: what rounding to `grids` does to each group's part of the outputs, from
/// the inputs themselves.
at::Tensor partial_errors(const at::Tensor& weight, const QuantScheme& scheme, const Grids& grids,
                          const at::Tensor& inputs) {
  const int64_t in = weight.size(1), length = scheme.group_length(in);
  const QuantizedTensor rounded = round_to_nearest(weight, scheme, grids).weight;
  const at::Tensor miss = (rounded.dequantize() - weight).to(at::kDouble);
  const at::Tensor x = inputs.reshape({-1, in}).to(at::kDouble);
  std::vector<at::Tensor> errors;
  for (int64_t first = 0; first < in; first += length)
    errors.push_back(
        at::matmul(miss.narrow(1, first, length), x.narrow(1, first, length).t()).square().sum(1));
  return at::stack(errors, 1);
}

TEST(FitGroupGrids, NoGroupsPartOfTheOutputIsWorseThanWithOtherGrids) {
  at::manual_seed(9);
  const at::Tensor weight = at::randn({20, 64}) * at::exp(at::randn({64}));
  const at::Tensor inputs = correlated_inputs(3, 50, 64);
  const at::Tensor x = inputs.reshape({-1, 64}), gram = at::matmul(x.t(), x);
  for (const QuantScheme& scheme :
       {QuantScheme{4, 16, false}, QuantScheme{3, 32, true}, QuantScheme{2, -1, false}}) {
    const auto errors = [&](const Grids& grids) {
      return partial_errors(weight, scheme, grids, inputs);
    };
    const at::Tensor found = errors(fit_group_grids(weight, scheme, at::kFloat, gram));
    const at::Tensor whole = errors(fit_grids(weight, scheme, at::kFloat, {}));
    const at::Tensor searched =
        errors(fit_grids(weight, scheme, at::kFloat, {true, gram.diagonal()}));
    // Float32 sums of 64 terms by the Gram matrix instead of the tokens.
    EXPECT_TRUE(found.le(whole * (1 + 1e-4)).all().item<bool>()) << scheme.name();
    EXPECT_TRUE(found.le(searched * (1 + 1e-4)).all().item<bool>()) << scheme.name();
    EXPECT_LT(found.sum().item<double>(), searched.sum().item<double>()) << scheme.name();
  }
}

}  // namespace
}  // namespace ptq::quantizer
