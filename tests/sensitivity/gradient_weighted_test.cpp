#include <gtest/gtest.h>

#include "site_fixture.h"

namespace {

using ptq::estimators;
using ptq::Json;
using ptq::kFloatRounding;
using ptq::relative_difference;
using ptq::SensitivitySite;

std::unique_ptr<ptq::SensitivityEstimator> reading(const char* name) {
  return estimators().make("gradient-weighted", Json{{"reading", name}});
}

/// Σ over tokens of ½ Σ_{groups of outputs} (Σ_{o in group} g_to²) ‖Δ_group x_t‖² / outputs of the
/// group, over targets.
double joint_oracle(const SensitivitySite& site, const at::Tensor& delta, int64_t groups) {
  const at::Tensor x = site.x.flatten(0, 1), g = site.g.flatten(0, 1);
  const at::Tensor miss = at::matmul(x, delta.to(at::kDouble).t());
  const int64_t out = delta.size(0);
  double total = 0;
  for (int64_t k = 0; k < groups; ++k) {
    const int64_t first = k * out / groups, end = (k + 1) * out / groups;
    const at::Tensor energy = g.slice(1, first, end).square().sum(1);
    const at::Tensor errors = miss.slice(1, first, end).square().sum(1);
    total += (energy * errors).sum().item<double>() / static_cast<double>(end - first);
  }
  return total / 2 / SensitivitySite::kTargets;
}

TEST(GradientWeighted, ReadingsSquareATokenASequenceOrAllData) {
  const SensitivitySite site;
  const at::Tensor x = site.x, g = site.g;
  const at::Tensor token = at::einsum("sto,sti->stoi", {g, x}).square().flatten(0, 2).sum(0);
  const at::Tensor sequence = at::einsum("sto,sti->soi", {g, x}).square().flatten(0, 1).sum(0);
  const at::Tensor pooled = at::einsum("sto,sti->oi", {g, x}).square().sum(0);
  const double n = SensitivitySite::kTokens;
  EXPECT_LT(relative_difference(reading("token")->channel_scores(site.view()), token / n), 1e-13);
  EXPECT_LT(relative_difference(reading("sequence")->channel_scores(site.view()), sequence / n),
            1e-13);
  // The pooled gradient is kept in float32; a sum of its squares has no cancellation.
  EXPECT_LT(relative_difference(reading("pooled")->channel_scores(site.view()), pooled / n),
            kFloatRounding);
}

// ‖GᵀX_:,j‖² = (XᵀDX)_jj + Σ_{t≠t'} x_tj x_t'j ⟨g_t, g_t'⟩: equations 5 and 6 of arXiv:2601.11663
// differ by the cross terms, within sequences for the one reading, between all tokens for the
// other.
TEST(GradientWeighted, ReadingsDifferByTheNamedCrossTerms) {
  const SensitivitySite site;
  const at::Tensor x = site.x.flatten(0, 1), g = site.g.flatten(0, 1);
  const int64_t n = x.size(0), length = SensitivitySite::kLength;
  at::Tensor within = at::zeros({x.size(1)}, at::kDouble), all = within.clone();
  for (int64_t t = 0; t < n; ++t) {
    for (int64_t u = 0; u < n; ++u) {
      if (t == u) continue;
      const at::Tensor term = x[t] * x[u] * at::dot(g[t], g[u]);
      all += term;
      if (t / length == u / length) within += term;
    }
  }
  const at::Tensor token = reading("token")->channel_scores(site.view());
  const double count = SensitivitySite::kTokens;
  EXPECT_LT(
      relative_difference(reading("sequence")->channel_scores(site.view()), token + within / count),
      1e-11);
  EXPECT_LT(
      relative_difference(reading("pooled")->channel_scores(site.view()), token + all / count),
      kFloatRounding);
  EXPECT_GT(within.abs().min().item<double>(), 0);
}

TEST(GradientWeighted, IsExactForASingleOutput) {
  const SensitivitySite site(2, 1);
  const at::Tensor delta = site.weight * 0.1F;
  const at::Tensor by_channel = reading("token")->predicted_by_channel(site.view(), delta);
  const at::Tensor squares = (site.g * site.x).square().flatten(0, 1).sum(0);
  const at::Tensor expected =
      squares * delta.to(at::kDouble).square()[0] / 2 / SensitivitySite::kTargets;
  EXPECT_LT(relative_difference(by_channel, expected), 1e-13);
  const auto joint = estimators().make("gradient-weighted", Json{{"columns", "joint"}});
  const at::Tensor changes = (site.g * site.x * delta.to(at::kDouble)[0]).sum(2);
  const double whole = changes.square().sum().item<double>() / 2 / SensitivitySite::kTargets;
  // float32 products of 8 terms: at most 8·2⁻²⁴ of the terms' magnitudes, which exceed the sum by
  // less than a hundredfold here.
  EXPECT_NEAR(joint->predicted(site.view(), delta).value(), whole, 1e-4 * whole);
}

TEST(GradientWeighted, SharesTheSensitivityEvenlyAmongOutputs) {
  const SensitivitySite site;
  for (const char* name : {"token", "sequence"}) {
    const auto estimator = reading(name);
    const at::Tensor score = estimator->channel_scores(site.view());
    const at::Tensor expected =
        site.weight.to(at::kDouble).square().sum(0) * score *
        (SensitivitySite::kTokens / SensitivitySite::kTargets / 2 / SensitivitySite::kOut);
    const at::Tensor by_channel = estimator->predicted_by_channel(site.view(), site.weight);
    EXPECT_LT(relative_difference(by_channel, expected), 1e-13) << name;
    EXPECT_NEAR(estimator->predicted(site.view(), site.weight).value(),
                expected.sum().item<double>(), 1e-12 * expected.sum().item<double>());
  }
}

TEST(GradientWeighted, JointColumnsFollowTheWeightedGramMatrixOfEachGroupOfOutputs) {
  SensitivitySite site;
  const auto joint = estimators().make("gradient-weighted", Json{{"columns", "joint"}});
  EXPECT_EQ(joint->statistics(), (std::vector<std::string>{"token-energy", "weighted-gram"}));
  for (const int64_t groups : {1, 2, 3}) {
    site.set_weighted_gram(groups);
    const double expected = joint_oracle(site, site.weight, groups);
    EXPECT_NEAR(joint->predicted(site.view(), site.weight).value(), expected, 1e-5 * expected)
        << groups;
  }
}

TEST(GradientWeighted, PooledPredictsToFirstOrder) {
  const SensitivitySite site;
  const at::Tensor delta = site.weight * 0.1F;
  const at::Tensor gradient = at::einsum("sto,sti->oi", {site.g, site.x});
  const at::Tensor terms = gradient * delta.to(at::kDouble) / SensitivitySite::kTargets;
  const auto pooled = reading("pooled");
  const double rounding = 2 * 0x1p-24 * terms.abs().sum().item<double>();
  const at::Tensor by_channel = pooled->predicted_by_channel(site.view(), delta);
  EXPECT_LT((by_channel - terms.sum(0)).abs().max().item<double>(), rounding);
  EXPECT_NEAR(pooled->predicted(site.view(), delta).value(), terms.sum().item<double>(), rounding);
}

TEST(GradientWeighted, RefusesJointColumnsOfOtherReadingsAndChangesOfOtherShapes) {
  EXPECT_THROW(
      estimators().make("gradient-weighted", Json{{"reading", "pooled"}, {"columns", "joint"}}),
      ptq::ConfigError);
  EXPECT_THROW(reading("row"), ptq::ConfigError);
  const SensitivitySite site;
  for (const char* name : {"token", "pooled"})
    EXPECT_THROW(reading(name)->predicted(site.view(), site.weight[0]), std::logic_error) << name;
}

}  // namespace
