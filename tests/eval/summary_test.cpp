#include "summary.h"

#include <cmath>
#include <random>

#include <gtest/gtest.h>

namespace ptq {
namespace {

/// Windows of so many targets each, ids all 0.
WindowPlan plan_of(const std::string& protocol, const std::vector<int64_t>& counts) {
  WindowPlan plan;
  plan.protocol = protocol;
  for (const int64_t count : counts)
    plan.windows.push_back({std::vector<int64_t>(static_cast<size_t>(count) + 1, 0), 1});
  return plan;
}

TEST(ClusteredStandardError, OfEqualWindowsIsThatOfTheMeanOfTheirMeans) {
  // Window means 1, 3, 8: mean 4, sample variance (9 + 1 + 16) / 2 = 13, error sqrt(13 / 3).
  const std::vector<double> values = {0, 2, 2, 4, 10, 6};
  EXPECT_DOUBLE_EQ(clustered_standard_error(values, {2, 2, 2}), std::sqrt(13.0 / 3.0));
}

TEST(ClusteredStandardError, CoversTheSpreadOfRepeatedUnequalWindows) {
  // The oracle is the spread itself: the standard deviation of the weighted mean over many draws
  // of 40 windows whose levels differ.  400 draws give it to 1/sqrt(800) = 3.5 %; 4 of those, and
  // the estimator's own bias of about 1/40, make 17 %.
  std::mt19937 generator(1);
  std::normal_distribution<double> normal;
  std::vector<int64_t> counts;
  for (int64_t i = 0; i < 40; ++i)
    counts.push_back(5 + i % 7);
  double sum = 0.0, squares = 0.0, estimated_squares = 0.0;
  const int draws = 400;
  for (int draw = 0; draw < draws; ++draw) {
    std::vector<double> values;
    for (const int64_t count : counts) {
      const double level = 3.0 + normal(generator);
      for (int64_t i = 0; i < count; ++i)
        values.push_back(level + 0.3 * normal(generator));
    }
    double mean = 0.0;
    for (const double value : values)
      mean += value / static_cast<double>(values.size());
    sum += mean;
    squares += mean * mean;
    estimated_squares += std::pow(clustered_standard_error(values, counts), 2);
  }
  const double spread = std::sqrt(squares / draws - sum / draws * sum / draws);
  EXPECT_NEAR(std::sqrt(estimated_squares / draws) / spread, 1.0, 0.17);
}

TEST(TokenStandardError, FollowsTheFormulaOfLlamaPerplexity) {
  const std::vector<double> values = {1.0, 2.0, 4.0, 9.0};
  const double mean = 4.0, mean_of_squares = (1.0 + 4.0 + 16.0 + 81.0) / 4.0;
  EXPECT_DOUBLE_EQ(token_standard_error(values), std::sqrt((mean_of_squares - mean * mean) / 3.0));
}

TEST(StandardErrors, OfOneSampleAreUnknown) {
  EXPECT_TRUE(std::isnan(clustered_standard_error({1.0, 2.0}, {2})));
  EXPECT_TRUE(std::isnan(token_standard_error({1.0})));
}

TEST(Quantile, IsExactAtTheDataAndLinearBetween) {
  const std::vector<double> sorted = {1.0, 2.0, 4.0, 8.0, 16.0};
  EXPECT_EQ(quantile(sorted, 0.0), 1.0);
  EXPECT_EQ(quantile(sorted, 50.0), 4.0);
  EXPECT_EQ(quantile(sorted, 100.0), 16.0);
  EXPECT_DOUBLE_EQ(quantile(sorted, 62.5), 6.0);
  EXPECT_EQ(quantile({3.0}, 99.9), 3.0);
}

TEST(SummarizePerplexity, WeighsTokensNotWindows) {
  const PerplexityResult result =
      summarize_perplexity(plan_of("sliding", {1, 3}), {4.0, 1.0, 2.0, 3.0});
  EXPECT_DOUBLE_EQ(result.mean_nll_nats, 2.5);
  EXPECT_DOUBLE_EQ(result.perplexity, std::exp(2.5));
  EXPECT_EQ(result.window_nll, (std::vector<double>{4.0, 2.0}));
  EXPECT_EQ(result.window_scored_tokens, (std::vector<int64_t>{1, 3}));
  EXPECT_EQ(result.scored_tokens, 4);
}

TEST(SummarizePerplexity, TakesTheStandardErrorOfTheProtocol) {
  const std::vector<double> nll = {1.0, 2.0, 4.0, 9.0};
  const double windows = clustered_standard_error(nll, {2, 2});
  const double tokens = token_standard_error(nll);
  ASSERT_NE(windows, tokens);
  const PerplexityResult gptq = summarize_perplexity(plan_of("gptq", {2, 2}), nll);
  EXPECT_DOUBLE_EQ(gptq.standard_error, std::exp(4.0) * windows);
  EXPECT_EQ(gptq.to_json().at("standard_error_from"), "windows");
  const PerplexityResult llama = summarize_perplexity(plan_of("llama.cpp", {2, 2}), nll);
  EXPECT_DOUBLE_EQ(llama.standard_error, std::exp(4.0) * tokens);
  EXPECT_EQ(llama.to_json().at("standard_error_from"), "tokens");
}

TEST(SummarizePerplexity, JsonCarriesProtocolAndSettings) {
  WindowPlan plan = plan_of("gptq", {2, 2});
  plan.seqlen = plan.stride = 3;
  const Json json = summarize_perplexity(plan, {1.0, 2.0, 4.0, 9.0}).to_json();
  EXPECT_EQ(json.at("protocol"), "gptq");
  EXPECT_EQ(json.at("seqlen"), 3);
  EXPECT_EQ(json.at("windows"), 2);
  EXPECT_EQ(json.at("scored_tokens"), 4);
  EXPECT_EQ(json.at("window_mean_nll_nats"), Json({1.5, 6.5}));
}

TEST(SummarizeKl, ComparesTokenByToken) {
  TokenScores scores;
  scores.nll = {std::log(2.0), std::log(4.0)};            // p = 1/2, 1/4
  scores.reference_nll = {std::log(4.0), std::log(2.0)};  // p = 1/4, 1/2
  scores.kl = {0.3, 0.1};
  scores.same_top1 = {1, 0};
  const KlResult result = summarize_kl(plan_of("rows", {1, 1}), scores);
  EXPECT_DOUBLE_EQ(result.mean_nats, 0.2);
  EXPECT_DOUBLE_EQ(result.standard_error, 0.1);
  EXPECT_DOUBLE_EQ(result.top1_agreement, 0.5);
  EXPECT_NEAR(result.mean_delta_p, 0.0, 1e-16);
  EXPECT_DOUBLE_EQ(result.rms_delta_p, 0.25);
  EXPECT_NEAR(result.mean_delta_nll_nats, 0.0, 1e-15);
  EXPECT_DOUBLE_EQ(result.delta_nll_standard_error, std::log(2.0));
  EXPECT_EQ(result.quantiles.front(), std::make_pair(0.0, 0.1));
  EXPECT_EQ(result.quantiles.back(), std::make_pair(100.0, 0.3));
}

}  // namespace
}  // namespace ptq
