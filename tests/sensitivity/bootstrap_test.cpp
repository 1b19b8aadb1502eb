#include <cmath>
#include <random>

#include <gtest/gtest.h>

#include "ptq/sensitivity/agreement.h"

namespace {

using Values = std::vector<double>;

/// Pairs whose logarithms have a correlation.
struct Pairs {
  Values a, b;
  Pairs(size_t count, double correlation, unsigned seed) {
    std::mt19937 bits(seed);
    std::normal_distribution<double> normal;
    for (size_t i = 0; i < count; ++i) {
      const double x = normal(bits);
      const double y = correlation * x + std::sqrt(1 - correlation * correlation) * normal(bits);
      a.push_back(std::exp(x));
      b.push_back(std::exp(y));
    }
  }
};

TEST(AgreementWithin, IsTheMeanOverGroupsWeightedBySize) {
  // Opposite orders inside; between the groups the scale alone gives a high correlation.
  const Values a = {1, 2, 3, 101, 102}, b = {3, 2, 1, 101, 102};
  const std::vector<int64_t> groups = {4, 4, 4, 9, 9};
  const ptq::Agreement within = ptq::agreement_within(a, b, groups);
  EXPECT_DOUBLE_EQ(within.spearman, (3 * -1.0 + 2 * 1.0) / 5);
  EXPECT_NEAR(within.kendall, -0.2, 1e-15);
  EXPECT_GT(ptq::spearman(a, b), 0.4);
}

TEST(AgreementWithin, LeavesOutGroupsWithoutAnOrder) {
  const Values a = {1, 2, 3, 5, 5, 7}, b = {1, 2, 3, 1, 2, 4};
  EXPECT_DOUBLE_EQ(ptq::agreement_within(a, b, {0, 0, 0, 1, 1, 2}).spearman, 1);
  EXPECT_TRUE(std::isnan(ptq::agreement_within({5, 5}, {1, 2}, {0, 0}).spearman));
  EXPECT_THROW(ptq::agreement_within(a, b, {0, 1}), std::logic_error);
}

// The standard error of Fisher's z of a normal correlation is 1/sqrt(n - 3).
TEST(BootstrapAgreement, IsAsWideAsTheTheoryOfNormalPairsSays) {
  const Pairs pairs(400, 0.6, 1);
  const ptq::AgreementInterval interval =
      ptq::bootstrap_agreement(pairs.a, pairs.b, {1000, 0.95, 0});
  const double width = std::atanh(interval.high.log_pearson) - std::atanh(interval.low.log_pearson);
  EXPECT_NEAR(width, 2 * 1.96 / std::sqrt(397.0), 0.15 * width);
  const ptq::Agreement point = ptq::agreement(pairs.a, pairs.b);
  EXPECT_LT(interval.low.spearman, point.spearman);
  EXPECT_GT(interval.high.spearman, point.spearman);
  EXPECT_LT(interval.low.log_slope, interval.high.log_slope);
}

TEST(BootstrapAgreement, CoversTheTruthAboutAsOftenAsItsLevel) {
  int covered = 0;
  constexpr int kTrials = 100;
  for (unsigned trial = 0; trial < kTrials; ++trial) {
    const Pairs pairs(100, 0.5, trial + 100);
    const auto interval = ptq::bootstrap_agreement(pairs.a, pairs.b, {200, 0.9, trial});
    covered += interval.low.log_pearson <= 0.5 && 0.5 <= interval.high.log_pearson;
  }
  // 90 expected, with a standard deviation of 3; percentile intervals fall a little short.
  EXPECT_GE(covered, 78);
  EXPECT_LE(covered, 98);
}

TEST(BootstrapAgreement, RepeatsForASeedAndVariesWithIt) {
  const Pairs pairs(50, 0.5, 2);
  const auto one = ptq::bootstrap_agreement(pairs.a, pairs.b, {100, 0.95, 7});
  const auto same = ptq::bootstrap_agreement(pairs.a, pairs.b, {100, 0.95, 7});
  const auto other = ptq::bootstrap_agreement(pairs.a, pairs.b, {100, 0.95, 8});
  EXPECT_EQ(one.low.kendall, same.low.kendall);
  EXPECT_NE(one.low.kendall, other.low.kendall);
}

TEST(BootstrapAgreement, DrawsInsideGroups) {
  // Two groups of one order each, opposite: any resample within groups keeps both orders.
  const Values a = {1, 2, 3, 4, 5, 6, 7, 8}, b = {1, 2, 3, 4, 80, 70, 60, 50};
  const std::vector<int64_t> groups = {0, 0, 0, 0, 1, 1, 1, 1};
  const auto interval = ptq::bootstrap_agreement_within(a, b, groups, {200, 0.5, 0});
  EXPECT_NEAR(interval.low.spearman, 0, 1e-12);
  EXPECT_NEAR(interval.high.spearman, 0, 1e-12);
}

TEST(BootstrapAgreement, PartsThatAgreeChangeNothing) {
  const Pairs pairs(40, 0.5, 3);
  ptq::MeasuredParts parts;
  for (const double value : pairs.b)
    parts.push_back({value, value, value, value});  // the mean of four is exact
  const auto alone = ptq::bootstrap_agreement(pairs.a, pairs.b, {100, 0.95, 7});
  const auto both = ptq::bootstrap_agreement(pairs.a, pairs.b, {100, 0.95, 7}, parts);
  EXPECT_EQ(alone.low.kendall, both.low.kendall);
  EXPECT_EQ(alone.high.log_slope, both.high.log_slope);
}

TEST(BootstrapAgreement, PartsThatContradictOneAnotherLeaveNothingCertain) {
  // One part ranks as predicted, the other in reverse; their mean has no order at all.
  const Values a = {1, 2, 3, 4, 5, 6}, mean(6, 3.5);
  ptq::MeasuredParts parts;
  for (const double value : a)
    parts.push_back({value, 7 - value});
  const auto interval = ptq::bootstrap_agreement(a, mean, {200, 0.9, 0}, parts);
  EXPECT_DOUBLE_EQ(interval.low.spearman, -1);
  EXPECT_DOUBLE_EQ(interval.high.spearman, 1);
  EXPECT_THROW(ptq::bootstrap_agreement(a, mean, {10, 0.9, 0}, {{1}}), std::logic_error);
  parts.back().pop_back();
  EXPECT_THROW(ptq::bootstrap_agreement(a, mean, {10, 0.9, 0}, parts), std::logic_error);
}

TEST(BootstrapAgreement, IsUndefinedWhereNoResampleIsAndRefusesNonsense) {
  EXPECT_TRUE(std::isnan(ptq::bootstrap_agreement({1, 1}, {1, 2}, {20, 0.95, 0}).low.spearman));
  EXPECT_THROW(ptq::bootstrap_agreement({1}, {1}, {0, 0.95, 0}), std::logic_error);
  EXPECT_THROW(ptq::bootstrap_agreement({1}, {1}, {10, 1.0, 0}), std::logic_error);
}

}  // namespace
