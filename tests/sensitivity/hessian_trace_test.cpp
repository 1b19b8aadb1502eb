#include <gtest/gtest.h>

#include "site_fixture.h"

namespace {

using ptq::estimators;
using ptq::Json;
using ptq::relative_difference;
using ptq::SensitivitySite;

/// A loss ½ wᵀHw per target over all weights of a linear: the gradients that a sweep would find for
/// the probes of an estimator.
void collect(SensitivitySite& site, const ptq::SensitivityEstimator& estimator,
             const at::Tensor& hessian) {
  for (const ptq::GradientProbe& probe : estimator.probes()) {
    const at::Tensor way = probe.direction->of(site.site(), site.weight).to(at::kDouble).flatten();
    at::Tensor sum = at::zeros_like(way);
    for (const auto& node : probe.nodes)
      sum += at::mv(hessian, site.weight.to(at::kDouble).flatten() + way * node.at) *
             (node.coefficient * SensitivitySite::kTargets);
    site.put(probe.name, sum.view(site.weight.sizes()).to(at::kFloat), "gradient");
  }
}

at::Tensor random_hessian(int64_t n) {
  const at::Tensor root = at::randn({n, n}, at::kDouble);
  return at::matmul(root, root.t()) / static_cast<double>(n);
}

TEST(HessianTrace, IsExactForADiagonalHessianWithOneSample) {
  SensitivitySite site;
  const at::Tensor diagonal = at::rand({site.weight.numel()}, at::kDouble) + 0.5;
  const auto trace = estimators().make("hessian-trace", Json{{"samples", 1}});
  collect(site, *trace, at::diag(diagonal));
  const at::Tensor expected = diagonal.view(site.weight.sizes());
  // The direction, its products and the gradients round to float32 once each.
  EXPECT_LT(relative_difference(trace->weight_scores(site.view()), expected), 8 * 0x1p-24);
  EXPECT_LT(relative_difference(trace->channel_scores(site.view()), expected.sum(0)), 8 * 0x1p-24);
}

TEST(HessianTrace, AveragesSamplesTowardsTheTrace) {
  SensitivitySite site;
  const at::Tensor hessian = random_hessian(site.weight.numel());
  constexpr int kSamples = 400;
  const auto trace = estimators().make("hessian-trace", Json{{"samples", kSamples}});
  collect(site, *trace, hessian);
  const double expected = hessian.trace().item<double>();
  // The variance of zᵀHz for random signs is twice the sum of squares off the diagonal.
  const at::Tensor off = hessian - at::diag(hessian.diagonal());
  const double deviation = std::sqrt(2 * off.square().sum().item<double>() / kSamples);
  EXPECT_NEAR(trace->channel_scores(site.view()).sum().item<double>(), expected, 4 * deviation);
  EXPECT_LT(deviation, 0.05 * expected);
}

TEST(HessianTrace, PredictsHalfTheMeanDiagonalTimesTheSquaredChange) {
  SensitivitySite site;
  const at::Tensor diagonal = at::rand({site.weight.numel()}, at::kDouble) + 0.5;
  const auto trace = estimators().make("hessian-trace", Json{{"samples", 2}});
  collect(site, *trace, at::diag(diagonal));
  const at::Tensor delta = site.weight * 0.1F;
  const at::Tensor expected =
      delta.to(at::kDouble).square().sum(0) * (diagonal.mean().item<double>() / 2);
  EXPECT_LT(relative_difference(trace->predicted_by_channel(site.view(), delta), expected),
            8 * 0x1p-24);
  EXPECT_NEAR(trace->predicted(site.view(), delta).value(), expected.sum().item<double>(),
              8 * 0x1p-24 * expected.sum().item<double>());
}

TEST(HessianTrace, DirectionsAreSignsOfTheWeightsSizeThatOnlyNameSeedAndSampleDecide) {
  const SensitivitySite site;
  const auto make = [](int seed) {
    return estimators().make("hessian-trace", Json{{"samples", 2}, {"seed", seed}})->probes();
  };
  const auto probes = make(7), again = make(7), other = make(8);
  const at::Tensor weight = at::randn({64, 64});
  const at::Tensor way = probes[0].direction->of(site.site(), weight);
  const float rms = weight.square().mean().sqrt().item<float>();
  EXPECT_NEAR(way.abs().min().item<float>(), rms, 1e-6F * rms);
  EXPECT_NEAR(way.abs().max().item<float>(), rms, 1e-6F * rms);
  // 4096 fair signs: the mean is within 4/64 with all but one in ten thousand.
  EXPECT_LT(std::abs(way.mean().item<float>()), rms * 4 / 64);
  EXPECT_TRUE(at::equal(way, again[0].direction->of(site.site(), weight)));
  EXPECT_EQ(probes[0].name, again[0].name);
  ptq::LinearSite elsewhere = site.site();
  elsewhere.name = "model.layers.1.self_attn.q_proj";
  for (const at::Tensor& unlike :
       {probes[1].direction->of(site.site(), weight), other[0].direction->of(site.site(), weight),
        probes[0].direction->of(elsewhere, weight)}) {
    const double alike = way.eq(unlike).to(at::kDouble).mean().item<double>();
    EXPECT_NEAR(alike, 0.5, 4.0 / 64);
  }
  EXPECT_NE(probes[0].name, probes[1].name);
  EXPECT_NE(probes[0].name, other[0].name);
  EXPECT_NE(probes[0].direction->key(), other[0].direction->key());
}

TEST(HessianTrace, StepIsItsOptionAndPartOfTheProbesName) {
  const auto probes =
      estimators().make("hessian-trace", Json{{"epsilon", 0.25}, {"samples", 1}})->probes();
  ASSERT_EQ(probes.size(), 1U);
  ASSERT_EQ(probes[0].nodes.size(), 2U);
  EXPECT_EQ(probes[0].nodes[0].at, 0.25);
  EXPECT_EQ(probes[0].nodes[1].at, -0.25);
  EXPECT_EQ(probes[0].nodes[0].coefficient, 2);
  EXPECT_NE(probes[0].name, estimators().make("hessian-trace")->probes()[0].name);
}

TEST(HessianTrace, AWeightOfZerosIsDisplacedByOne) {
  SensitivitySite site;
  site.weight.zero_();
  const auto trace = estimators().make("hessian-trace", Json{{"samples", 1}});
  collect(site, *trace, at::eye(site.weight.numel(), at::kDouble));
  EXPECT_NEAR(trace->channel_scores(site.view()).sum().item<double>(),
              static_cast<double>(site.weight.numel()), 1e-5);
}

}  // namespace
