#include "ptq/sensitivity/agreement.h"

#include <cmath>
#include <random>

#include <gtest/gtest.h>

#include "ptq/core/error.h"

namespace {

using Values = std::vector<double>;

/// Tau-b by looking at every pair.
double plain_kendall(const Values& a, const Values& b) {
  double balance = 0, free_a = 0, free_b = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      const int in_a = (a[i] > a[j]) - (a[i] < a[j]), in_b = (b[i] > b[j]) - (b[i] < b[j]);
      balance += in_a * in_b;
      free_a += in_a != 0;
      free_b += in_b != 0;
    }
  }
  return balance / std::sqrt(free_a * free_b);
}

/// Spearman with ranks counted one by one.
double plain_spearman(const Values& a, const Values& b) {
  const auto rank = [](const Values& values, double value) {
    double below = 0, same = 0;
    for (const double other : values) {
      below += other < value;
      same += other == value;
    }
    return below + (same - 1) / 2;
  };
  const auto n = static_cast<double>(a.size());
  double ab = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double x = rank(a, a[i]) - (n - 1) / 2, y = rank(b, b[i]) - (n - 1) / 2;
    ab += x * y;
    aa += x * x;
    bb += y * y;
  }
  return ab / std::sqrt(aa * bb);
}

TEST(Agreement, RankCorrelationsOfHandMadeLists) {
  const Values a = {1, 2, 3, 4, 5}, b = {2, 1, 4, 3, 5};
  EXPECT_DOUBLE_EQ(ptq::spearman(a, b), 0.8);       // 1 - 6·4/(5·24)
  EXPECT_DOUBLE_EQ(ptq::kendall_tau_b(a, b), 0.6);  // 8 pairs of 10 concordant, 2 not
  const Values reversed = {5, 4, 3, 2, 1};
  EXPECT_DOUBLE_EQ(ptq::spearman(a, reversed), -1);
  EXPECT_DOUBLE_EQ(ptq::kendall_tau_b(a, reversed), -1);
  // Pairs: (1,1) (1,2) (2,2): concordant 1 (first, last), tied in a 1, tied in b 1.
  EXPECT_DOUBLE_EQ(ptq::kendall_tau_b({1, 1, 2}, {1, 2, 2}), 0.5);
  EXPECT_DOUBLE_EQ(ptq::spearman({1, 1, 2}, {1, 2, 2}), 0.5);
}

TEST(Agreement, RankCorrelationsWithTiesEqualThoseFromAllPairs) {
  std::mt19937 bits(11);
  for (const size_t n : {2U, 3U, 10U, 57U, 128U}) {
    for (const unsigned levels : {3U, 20U, 1000U}) {
      Values a(n), b(n);
      for (size_t i = 0; i < n; ++i) {
        a[i] = bits() % levels;
        b[i] = a[i] * 0.3 + bits() % levels;
      }
      a[0] = b[0] = -1;  // so that no list is constant
      EXPECT_NEAR(ptq::kendall_tau_b(a, b), plain_kendall(a, b), 1e-13);
      EXPECT_NEAR(ptq::spearman(a, b), plain_spearman(a, b), 1e-13);
    }
  }
}

TEST(Agreement, KendallOfManyPairsTakesNoQuadraticTime) {
  constexpr size_t kMany = 200000;  // 2·10¹⁰ pairs
  Values a(kMany), b(kMany);
  for (size_t i = 0; i < kMany; ++i) {
    a[i] = static_cast<double>(i);
    b[i] = static_cast<double>(i ^ 1U);  // neighbours swapped: n/2 discordant pairs
  }
  const double pairs = static_cast<double>(kMany) * (kMany - 1) / 2;
  EXPECT_NEAR(ptq::kendall_tau_b(a, b), 1 - kMany / pairs, 1e-12);
}

TEST(Agreement, LogFitFindsAPowerLaw) {
  Values x, y;
  for (int i = 0; i < 20; ++i) {
    x.push_back(std::pow(10, -6 + 0.2 * i));
    y.push_back(3 * std::pow(x.back(), 1.5));
  }
  x.push_back(-1);  // left out: no logarithm
  y.push_back(5);
  x.push_back(1);
  y.push_back(0);
  const ptq::LogFit fit = ptq::fit_logs(x, y);
  EXPECT_EQ(fit.pairs, 20);
  EXPECT_NEAR(fit.pearson, 1, 1e-12);
  EXPECT_NEAR(fit.slope, 1.5, 1e-12);
  EXPECT_NEAR(fit.intercept, std::log10(3), 1e-11);
  EXPECT_NEAR(fit.bias, std::log10(3) + 0.5 * (-6 + 0.2 * 9.5), 1e-12);
}

TEST(Agreement, LogFitOfHandMadePoints) {
  // log10: (0, 0), (1, 2), (2, 1): moments 2, 2 and 1.
  const ptq::LogFit fit = ptq::fit_logs({1, 10, 100}, {1, 100, 10});
  EXPECT_NEAR(fit.pearson, 0.5, 1e-14);
  EXPECT_NEAR(fit.slope, 0.5, 1e-14);
  EXPECT_NEAR(fit.intercept, 0.5, 1e-14);
  EXPECT_NEAR(fit.bias, 0, 1e-14);
}

TEST(Agreement, TopOverlapCountsTheSharedLargest) {
  const Values a = {9, 8, 7, 1, 2, 3, 4, 5, 6, 0}, b = {9, 1, 8, 7, 2, 3, 4, 5, 6, 0};
  EXPECT_DOUBLE_EQ(ptq::top_overlap(a, b, 0.1), 1);
  EXPECT_DOUBLE_EQ(ptq::top_overlap(a, b, 0.3), 2.0 / 3);
  EXPECT_DOUBLE_EQ(ptq::top_overlap(a, b, 1), 1);
  EXPECT_DOUBLE_EQ(ptq::top_overlap(a, b, 0.01), 1);  // one at least
  const Values constant(10, 1.0);
  EXPECT_DOUBLE_EQ(ptq::top_overlap(a, constant, 0.3), 0.3);
  EXPECT_THROW(ptq::top_overlap(a, b, 0), std::logic_error);
}

TEST(Agreement, IsUndefinedForConstantsAndNothing) {
  const Values constant = {1, 1, 1}, rising = {1, 2, 3};
  EXPECT_TRUE(std::isnan(ptq::spearman(constant, rising)));
  EXPECT_TRUE(std::isnan(ptq::kendall_tau_b(rising, constant)));
  EXPECT_TRUE(std::isnan(ptq::fit_logs(constant, rising).slope));
  EXPECT_TRUE(std::isnan(ptq::fit_logs({-1, -2}, {1, 2}).bias));
  EXPECT_TRUE(std::isnan(ptq::spearman({}, {})));
  EXPECT_TRUE(std::isnan(ptq::top_overlap({}, {}, 0.5)));
}

TEST(Agreement, RefusesUnlikeLengthsAndWhatIsNotFinite) {
  EXPECT_THROW(ptq::spearman({1, 2}, {1}), std::logic_error);
  EXPECT_THROW(ptq::kendall_tau_b({1, NAN}, {1, 2}), ptq::NumericalError);
  EXPECT_THROW(ptq::agreement({1, 2}, {1, INFINITY}), ptq::NumericalError);
}

TEST(Agreement, GivesAllMeasuresAtOnce) {
  std::mt19937 bits(3);
  Values a(200), b(200);
  for (size_t i = 0; i < a.size(); ++i) {
    a[i] = 1 + bits() % 1000;
    b[i] = a[i] * (1 + bits() % 5);
  }
  const ptq::Agreement all = ptq::agreement(a, b);
  const ptq::LogFit fit = ptq::fit_logs(a, b);
  EXPECT_EQ(all.spearman, ptq::spearman(a, b));
  EXPECT_EQ(all.kendall, ptq::kendall_tau_b(a, b));
  EXPECT_EQ(all.log_pearson, fit.pearson);
  EXPECT_EQ(all.log_slope, fit.slope);
  EXPECT_EQ(all.log_intercept, fit.intercept);
  EXPECT_EQ(all.log_bias, fit.bias);
  EXPECT_EQ(all.top1_overlap, ptq::top_overlap(a, b, 0.01));
  EXPECT_EQ(all.top5_overlap, ptq::top_overlap(a, b, 0.05));
}

}  // namespace
