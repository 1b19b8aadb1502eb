#include "../src/quantizers/precorrection.h"

#include <cmath>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "ptq/core/error.h"
#include "site_fixture.h"

namespace ptq {
namespace {

using quantizer::Corrected;
using quantizer::factor_hessian;
using quantizer::HessianFactor;
using quantizer::HessianSettings;
using quantizer::precorrect;

/// A linear whose inputs are off from those of the full-precision model.
struct Mismatch {
  at::Tensor weight, quantized, full;  ///< float32 [out, in], [1, tokens, in], the same
  at::Tensor x, y;                     ///< float64 [tokens, in]: of `quantized` and `full`

  Mismatch(int64_t out, int64_t in, double size) {
    weight = at::randn({out, in});
    full = correlated_inputs(1, 4 * in, in);
    // Errors that depend on the inputs can be made up for, others cannot.
    quantized = full + size * (full.matmul(at::randn({in, in}) / std::sqrt(in)) +
                               full.std(1, true, true) * at::randn_like(full));
    x = quantized[0].to(at::kDouble);
    y = full[0].to(at::kDouble);
  }

  at::Tensor cross() const { return (y - x).t().mm(x).to(at::kFloat); }
  HessianFactor factor(double damping) const {
    HessianSettings settings;
    settings.damping = damping;
    return factor_hessian(x.t().mm(x).to(at::kFloat), settings);
  }
  /// ‖Y Wᵀ − X Qᵀ‖² in float64.
  double error(const at::Tensor& q) const {
    return (y.mm(weight.to(at::kDouble).t()) - x.mm(q.to(at::kDouble).t()))
        .square()
        .sum()
        .item<double>();
  }
};

TEST(Precorrection, KeepsTheWeightWhereTheComparisonIsNotFinite) {
  at::manual_seed(4);
  const Mismatch made(8, 32, 0.1);
  for (const float bad : {NAN, INFINITY}) {
    at::Tensor cross = made.cross();
    cross[3][5] = bad;
    const Corrected corrected = precorrect(made.weight, cross, made.factor(0.01), 0.3);
    EXPECT_FALSE(corrected.finite);
    EXPECT_TRUE(at::equal(corrected.weight, made.weight));
  }
  EXPECT_TRUE(precorrect(made.weight, made.cross(), made.factor(0.01), 0.3).finite);
}

TEST(Precorrection, SolvesTheRidgeEquation) {
  at::manual_seed(1);
  const Mismatch made(24, 96, 0.1);
  const HessianFactor factor = made.factor(0.01);
  const Corrected corrected = precorrect(made.weight, made.cross(), factor, 1e6);
  const at::Tensor w = made.weight.to(at::kDouble), h = made.x.t().mm(made.x);
  const at::Tensor ridge = factor.damping * at::eye(96, at::kDouble);
  const at::Tensor exact =
      at::matmul(w.mm(made.y.t().mm(made.x)) + factor.damping * w, at::linalg_inv(h + ridge));
  const double move = (exact - w).norm().item<double>();
  // The damping bounds the condition number by 1e2 times the spread of the diagonal, 1e4 or so.
  EXPECT_LT((corrected.weight - exact).norm().item<double>(), 2e-3 * move);
  EXPECT_NEAR(corrected.drift, move / w.norm().item<double>(), 2e-3 * corrected.drift);
  EXPECT_EQ(corrected.halvings, 0);
}

TEST(Precorrection, TurnsTheErrorAgainstTheFullModelIntoAnOrdinaryOne) {
  at::manual_seed(2);
  const Mismatch made(8, 32, 0.1);
  const Corrected corrected = precorrect(made.weight, made.cross(), made.factor(1e-6), 1e6);
  const at::Tensor target = corrected.weight.to(at::kDouble);
  const double constant = made.error(target);
  for (int trial = 0; trial < 5; ++trial) {
    const at::Tensor q = target + at::randn({8, 32}) * 0.1;
    const double ordinary = made.x.mm((target - q).t()).square().sum().item<double>();
    // Float32 sums and the rest of damping move the target from the exact minimum by 1e-3 of its
    // way, and what is linear in that is small beside both terms.
    EXPECT_NEAR(made.error(q), ordinary + constant, 1e-3 * (ordinary + constant));
  }
}

TEST(Precorrection, LeavesTheWeightWhereNothingDiffers) {
  at::manual_seed(3);
  const Mismatch made(8, 32, 0.1);
  const Corrected same = precorrect(made.weight, at::zeros({32, 32}), made.factor(0.01), 0.3);
  EXPECT_TRUE(at::equal(same.weight, made.weight));
  EXPECT_EQ(same.drift, 0);
}

TEST(Precorrection, IsHalvedUntilItFits) {
  at::manual_seed(4);
  const Mismatch made(8, 32, 0.3);
  const HessianFactor factor = made.factor(0.01);
  const Corrected free = precorrect(made.weight, made.cross(), factor, 1e6);
  const Corrected bound = precorrect(made.weight, made.cross(), factor, free.drift / 3);
  EXPECT_EQ(bound.halvings, 2);
  EXPECT_NEAR(bound.drift, free.drift / 4, 1e-12);
  // Four times as far, to the rounding of W* itself.
  EXPECT_TRUE(
      at::allclose((bound.weight - made.weight) * 4, free.weight - made.weight, 1e-4, 1e-5));
  EXPECT_TRUE(
      at::allclose(precorrect(made.weight, made.cross(), factor, 0).weight, made.weight, 0, 1e-15));
}

TEST(Precorrection, MakesGptqNearerToTheFullModel) {
  at::manual_seed(5);
  const QuantScheme scheme{4, 16, true};
  const Mismatch made(32, 96, 0.1);
  double before = 0;
  for (const char* target : {"self", "full-precision"}) {
    const auto gptq = quantizers().make("gptq", {{"target", target}});
    const TestSite site(made.weight, made.quantized, *gptq, made.full);
    const QuantizedSite result = gptq->quantize(site.view(), scheme);
    const double error = made.error(result.weight.dequantize());
    if (before > 0) {
      EXPECT_LT(error, 0.8 * before);
      EXPECT_GT(result.details.at("drift"), 0.01);
      EXPECT_EQ(result.details.at("drift_halvings"), 0);
    }
    before = error;
  }
}

TEST(Precorrection, NeedsTheOrdinaryHessian) {
  EXPECT_THROW(quantizers().make("gptq", {{"target", "full-precision"}, {"hessian", "weighted"}}),
               ConfigError);
}

}  // namespace
}  // namespace ptq
