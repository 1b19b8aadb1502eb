#include <gtest/gtest.h>

#include "site_fixture.h"

namespace {

using ptq::estimators;
using ptq::Json;
using ptq::kFloatRounding;
using ptq::relative_difference;
using ptq::SensitivitySite;

/// Mean over targets of ½ (Δ·v)², `gradients` [samples, out, in].
double exact_quadratic(const at::Tensor& gradients, const at::Tensor& delta) {
  const at::Tensor changes = (gradients * delta.to(at::kDouble)).flatten(1).sum(1);
  return changes.square().sum().item<double>() / 2 / SensitivitySite::kTargets;
}

at::Tensor sequence_gradients(const SensitivitySite& site) {
  return at::einsum("sto,sti->soi", {site.g, site.x});
}

at::Tensor token_gradients(const SensitivitySite& site) {
  return at::einsum("to,ti->toi", {site.g.flatten(0, 1), site.x.flatten(0, 1)});
}

TEST(Fisher, ScoresAreSquaredGradientsOfSequencesAndTheirColumnSums) {
  const SensitivitySite site;
  const auto fisher = estimators().make("fisher");
  const at::Tensor expected = sequence_gradients(site).square().sum(0) / SensitivitySite::kTokens;
  EXPECT_LT(relative_difference(fisher->weight_scores(site.view()), expected), kFloatRounding);
  EXPECT_LT(relative_difference(fisher->channel_scores(site.view()), expected.sum(0)),
            kFloatRounding);
}

TEST(Fisher, PerTokenSquaresTheGradientsOfTokens) {
  const SensitivitySite site;
  const auto fisher = estimators().make("fisher", Json{{"per", "token"}});
  const at::Tensor expected = token_gradients(site).square().sum(0) / SensitivitySite::kTokens;
  EXPECT_LT(relative_difference(fisher->weight_scores(site.view()), expected), kFloatRounding);
}

// Column sums of the per-token Fisher diagonal are diag(XᵀDX), of the per-sequence one equation 5
// of arXiv:2601.11663 with a sequence as the sample.
TEST(Fisher, ColumnSumsAreTheGradientWeightedScores) {
  const SensitivitySite site;
  for (const char* per : {"token", "sequence"}) {
    const auto fisher = estimators().make("fisher", Json{{"per", per}});
    const auto weighted = estimators().make("gradient-weighted", Json{{"reading", per}});
    EXPECT_LT(relative_difference(fisher->channel_scores(site.view()),
                                  weighted->channel_scores(site.view())),
              kFloatRounding)
        << per;
  }
}

TEST(Fisher, PredictsTheQuadraticFormOfASingleChangedWeightExactly) {
  const SensitivitySite site;
  at::Tensor delta = at::zeros_like(site.weight);
  delta[2][3] = 0.25;
  const auto per_sequence = estimators().make("fisher");
  const double expected = exact_quadratic(sequence_gradients(site), delta);
  EXPECT_NEAR(per_sequence->predicted(site.view(), delta).value(), expected,
              kFloatRounding * expected);
  const at::Tensor by_channel = per_sequence->predicted_by_channel(site.view(), delta);
  EXPECT_NEAR(by_channel[3].item<double>(), expected, kFloatRounding * expected);
  EXPECT_EQ(by_channel.count_nonzero().item<int64_t>(), 1);
  const auto per_token = estimators().make("fisher", Json{{"per", "token"}});
  const double of_tokens = exact_quadratic(token_gradients(site), delta);
  EXPECT_NEAR(per_token->predicted(site.view(), delta).value(), of_tokens,
              kFloatRounding * of_tokens);
}

// With independent random signs the products of different weights' errors vanish on average.
TEST(Fisher, PredictsTheMeanQuadraticFormOverRandomSigns) {
  const SensitivitySite site;
  const auto fisher = estimators().make("fisher");
  const at::Tensor gradients = sequence_gradients(site);
  const double predicted = fisher->predicted(site.view(), site.weight * 0.1F).value();
  double sum = 0, squares = 0;
  constexpr int kDraws = 4000;
  for (int i = 0; i < kDraws; ++i) {
    const at::Tensor signs = at::randint(0, 2, site.weight.sizes(), at::kFloat) * 2 - 1;
    const double change = exact_quadratic(gradients, site.weight * signs * 0.1F);
    sum += change;
    squares += change * change;
  }
  const double mean = sum / kDraws;
  const double standard_error = std::sqrt((squares / kDraws - mean * mean) / kDraws);
  EXPECT_NEAR(predicted, mean, 4 * standard_error);
  EXPECT_LT(standard_error, 0.05 * mean);
}

// A mean over targets: twice the same data changes nothing.
TEST(Fisher, PredictionsDoNotGrowWithTheAmountOfData) {
  SensitivitySite site;
  const auto fisher = estimators().make("fisher");
  const double once = fisher->predicted(site.view(), site.weight).value();
  site.x = at::cat({site.x, site.x});
  site.g = at::cat({site.g, site.g});
  site.collect();
  EXPECT_NEAR(fisher->predicted(site.view(), site.weight).value(), once, kFloatRounding * once);
}

TEST(Fisher, RefusesAChangeOfAnotherShapeAndStatisticsWithoutTargets) {
  SensitivitySite site;
  const auto fisher = estimators().make("fisher");
  EXPECT_THROW(fisher->predicted(site.view(), at::zeros({1, SensitivitySite::kIn})),
               std::logic_error);
  site.stats.set_counts({3, 15, 0});
  EXPECT_THROW(fisher->predicted(site.view(), site.weight), std::logic_error);
}

}  // namespace
