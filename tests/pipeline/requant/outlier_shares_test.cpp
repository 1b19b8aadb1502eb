#include "../../../src/pipeline/requant/outlier_shares.h"

#include <cmath>
#include <limits>
#include <stdexcept>

#include <gtest/gtest.h>

namespace ptq::detail {
namespace {

const std::vector<double> kImportance{1e-8, 4e-8, 2e-8, 9e-8};
const std::vector<int64_t> kSizes{1000, 2000, 500, 4000};

double detached(const std::vector<double>& shares) {
  double sum = 0;
  for (size_t i = 0; i < shares.size(); ++i)
    sum += shares[i] * static_cast<double>(kSizes[i]);
  return sum;
}

TEST(OutlierShares, MeetTheBudget) {
  for (const double exponent : {0.0, 0.5, 1.0, 2.0})
    for (const double budget : {0.0, 0.0045, 0.02})
      // Bisection ends where two neighbours of a double differ: a few roundings of the sum.
      EXPECT_NEAR(detached(outlier_shares(kImportance, kSizes, budget, exponent)), budget * 7500,
                  1e-9)
          << budget << " " << exponent;
}

TEST(OutlierShares, GoWithThePowerOfTheImportance) {
  const std::vector<double> shares = outlier_shares(kImportance, kSizes, 0.0045, 0.5);
  for (size_t i = 1; i < shares.size(); ++i)
    EXPECT_NEAR(shares[i] / shares[0], std::sqrt(kImportance[i] / kImportance[0]), 1e-12);
  const std::vector<double> equal = outlier_shares(kImportance, kSizes, 0.0045, 0);
  for (const double share : equal)
    EXPECT_NEAR(share, 0.0045, 1e-15);
}

TEST(OutlierShares, StopAtTheirLimitAndTheOthersTakeTheRest) {
  const std::vector<double> shares = outlier_shares(kImportance, kSizes, 0.03, 4);
  EXPECT_DOUBLE_EQ(shares[3], kMostOutliers);
  EXPECT_GT(shares[1], shares[2]);
  EXPECT_NEAR(detached(shares), 0.03 * 7500, 1e-9);
}

TEST(OutlierShares, OfLinearsThatAreAllAtTheirLimitGiveNoMore) {
  for (const double share : outlier_shares(kImportance, kSizes, 0.2, 1))
    EXPECT_DOUBLE_EQ(share, kMostOutliers);
}

TEST(OutlierShares, OfNoImportanceAreTheSame) {
  for (const double share : outlier_shares({0, 0, 0, 0}, kSizes, 0.01, 1))
    EXPECT_NEAR(share, 0.01, 1e-15);
}

TEST(OutlierShares, RefuseWhatIsNoImportance) {
  for (const double bad :
       {-1.0, std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()})
    EXPECT_THROW(outlier_shares({1, bad}, {1, 1}, 0.1, 1), std::logic_error);
}

}  // namespace
}  // namespace ptq::detail
