#include "ptq/sensitivity/summary.h"

#include <cmath>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "ptq/core/error.h"

namespace {

using ptq::summarize_scores;

TEST(ScoreSummary, GivesSumMaximumAndQuantilesBetweenNeighbours) {
  const ptq::ScoreSummary summary =
      summarize_scores(at::tensor({40.0, 10.0, 20.0, 0.0, 30.0}, at::kDouble));
  EXPECT_EQ(summary.sum, 100);
  EXPECT_EQ(summary.max, 40);
  EXPECT_EQ(summary.median, 20);
  EXPECT_DOUBLE_EQ(summary.quantile90, 36);
  EXPECT_DOUBLE_EQ(summary.quantile99, 39.6);
  EXPECT_DOUBLE_EQ(summary.top1_share, 0.4);  // one channel at least
}

TEST(ScoreSummary, TopShareCountsMagnitudesOfOnePercent) {
  at::Tensor scores = at::ones({300}, at::kDouble);
  scores[7] = -50;
  scores[8] = 30;
  scores[9] = 23;
  EXPECT_DOUBLE_EQ(summarize_scores(scores).top1_share, 103.0 / 400);
  EXPECT_DOUBLE_EQ(summarize_scores(at::ones({301}, at::kDouble)).top1_share, 4.0 / 301);
  EXPECT_TRUE(std::isnan(summarize_scores(at::zeros({4}, at::kDouble)).top1_share));
}

TEST(ScoreSummary, NamesTheChannelThatIsNotFinite) {
  try {
    summarize_scores(at::tensor({1.0, 2.0, NAN}, at::kDouble));
    FAIL() << "no error";
  } catch (const ptq::NumericalError& error) {
    EXPECT_NE(std::string(error.what()).find("channel 2"), std::string::npos);
  }
  EXPECT_THROW(summarize_scores(at::empty({0}, at::kDouble)), std::logic_error);
}

}  // namespace
