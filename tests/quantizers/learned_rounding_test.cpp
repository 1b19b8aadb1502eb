#include "../../src/quantizers/learned_rounding.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "ptq/quantizers/grid.h"

namespace ptq::quantizer {
namespace {

constexpr QuantScheme kSymmetric{3, 8, true}, kAsymmetric{2, 16, false};

at::Tensor random_weight() {
  at::manual_seed(3);
  return at::randn({6, 32});
}

QuantizedTensor nearest(const at::Tensor& weight, const QuantScheme& scheme) {
  return round_to_nearest(weight, scheme, fit_grids(weight, scheme, at::kFloat, {true, {}})).weight;
}

/// With the groups of some columns exchanged, as an activation order leaves them.
QuantizedTensor permuted(QuantizedTensor weight) {
  const at::Tensor order = at::randperm(weight.in_features());
  weight.q = weight.q.index_select(1, order);
  weight.group_of = weight.group_of.index_select(0, order);
  return weight;
}

struct Case {
  QuantizedTensor start;
  Optimizer optimizer;
};

std::vector<Case> cases() {
  std::vector<Case> made;
  for (const Optimizer optimizer : {Optimizer::kSign, Optimizer::kAdam})
    for (const QuantScheme& scheme : {kSymmetric, kAsymmetric})
      for (const bool in_order : {true, false}) {
        const QuantizedTensor start = nearest(random_weight(), scheme);
        made.push_back({in_order ? start : permuted(start), optimizer});
      }
  return made;
}

TEST(LearnedRounding, BeginsAtTheCodesItIsGivenHoweverFarTheWeightIs) {
  for (const Case& one : cases())
    for (const double far : {0.0, 1.0, 100.0}) {
      const LearnedRounding rounding(one.start, random_weight() * far, at::kFloat, one.optimizer);
      EXPECT_TRUE(rounding.weight().equal(one.start.dequantize()));
    }
}

TEST(LearnedRounding, WithoutAGradientNothingMoves) {
  for (const Case& one : cases()) {
    LearnedRounding rounding(one.start, random_weight(), at::kFloat, one.optimizer);
    for (int i = 0; i < 5; ++i)
      rounding.step(at::zeros({6, 32}), {1.0, 0.1});
    EXPECT_TRUE(rounding.quantized().q.equal(one.start.q));
    EXPECT_TRUE(rounding.quantized().scale.equal(one.start.scale));
  }
}

// Whatever the sign of a group's scale, a weight goes down where its gradient is positive.
TEST(LearnedRounding, WeightsGoAgainstTheirGradientToTheEndOfTheirRange) {
  for (const Case& one : cases()) {
    LearnedRounding rounding(one.start, random_weight(), at::kFloat, one.optimizer);
    const at::Tensor direction = at::randn({6, 32});
    at::Tensor before = rounding.weight();
    for (int i = 0; i < 40; ++i) {
      rounding.step(direction, {0.3, 0.0});
      const at::Tensor now = rounding.weight();
      EXPECT_LE(((now - before) * direction).max().item<double>(), 0.0);
      before = now;
    }
    rounding.quantized().check();
    const at::Tensor code = rounding.quantized().q;
    const int most = (1 << one.start.scheme.bits) - 1;
    EXPECT_TRUE(code.eq(0).logical_or(code.eq(most)).all().item<bool>());
  }
}

// ∂ŵ/∂s = q − z: a gradient along ŵ itself makes every group's scale smaller.
TEST(LearnedRounding, ScalesGoAgainstTheirGradientAndKeepTheirSign) {
  for (const Case& one : cases()) {
    LearnedRounding rounding(one.start, random_weight(), at::kFloat, one.optimizer);
    const at::Tensor start = one.start.scale;
    rounding.step(one.start.dequantize(), {0.0, 0.1});
    // Rounded to float16: half a unit of its last place.
    EXPECT_TRUE(at::allclose(rounding.quantized().scale, start * 0.9, /*rtol=*/0x1p-11));
    EXPECT_TRUE(rounding.quantized().q.equal(one.start.q));
    for (int i = 0; i < 40; ++i)
      rounding.step(one.start.dequantize(), {0.0, 0.1});
    EXPECT_TRUE(at::allclose(rounding.quantized().scale, start * 0.5, /*rtol=*/0x1p-11));
  }
}

TEST(LearnedRounding, LeavesItsStartAlone) {
  const QuantizedTensor start = nearest(random_weight(), kAsymmetric);
  const at::Tensor codes = start.q.clone(), scales = start.scale.clone();
  LearnedRounding rounding(start, random_weight(), at::kFloat, Optimizer::kSign);
  rounding.step(at::randn({6, 32}), {1.0, 0.1});
  EXPECT_TRUE(start.q.equal(codes));
  EXPECT_TRUE(start.scale.equal(scales));
}

}  // namespace
}  // namespace ptq::quantizer
