#include "ptq/sensitivity/quadrature.h"

#include <cmath>

#include <gtest/gtest.h>

#include "ptq/core/error.h"

namespace {

using ptq::estimator::quadrature;

/// The rule applied to t^power on [0, 1].
double power_integral(const std::vector<ptq::GradientProbe::Node>& nodes, int power) {
  double sum = 0;
  for (const auto& node : nodes)
    sum += node.coefficient * std::pow(node.at, power);
  return sum;
}

TEST(Quadrature, GaussIsExactToTwiceTheNodesLessOneAndNoFurther) {
  for (const int count : {1, 2, 3, 4, 7, 16, 32, 64}) {
    const auto nodes = quadrature("gauss", count);
    ASSERT_EQ(nodes.size(), static_cast<size_t>(count));
    // `count` terms of at most 1 in all, each with a few roundings.
    const double rounding = 8 * count * 0x1p-53;
    for (int power = 0; power <= 2 * count - 1; ++power)
      EXPECT_NEAR(power_integral(nodes, power), 1.0 / (power + 1), rounding) << count << power;
    if (count < 8) {
      EXPECT_GT(std::abs(power_integral(nodes, 2 * count) - 1.0 / (2 * count + 1)), 10 * rounding);
    }
  }
}

TEST(Quadrature, GaussNodesRiseInsideAndAreSymmetric) {
  for (const int count : {1, 5, 16, 256}) {
    const auto nodes = quadrature("gauss", count);
    for (int i = 0; i < count; ++i) {
      EXPECT_GT(nodes[i].at, i > 0 ? nodes[i - 1].at : 0.0);
      EXPECT_GT(nodes[i].coefficient, 0);
      EXPECT_NEAR(nodes[i].at + nodes[count - 1 - i].at, 1, 1e-15);
    }
    EXPECT_LT(nodes.back().at, 1);
  }
}

TEST(Quadrature, TrapezoidIsExactForLinesWithBothEnds) {
  const auto nodes = quadrature("trapezoid", 5);
  EXPECT_EQ(nodes.front().at, 0);
  EXPECT_EQ(nodes.back().at, 1);
  EXPECT_NEAR(power_integral(nodes, 0), 1, 1e-15);
  EXPECT_NEAR(power_integral(nodes, 1), 0.5, 1e-15);
  EXPECT_NEAR(power_integral(nodes, 2) - 1.0 / 3, 1.0 / (6 * 4 * 4), 1e-15);
}

// For t² the mean of n points is off by 1/(6 (n - 1)): the paper's slow convergence.
TEST(Quadrature, MeanTakesAllPointsAlike) {
  for (const int count : {4, 32}) {
    const auto nodes = quadrature("mean", count);
    EXPECT_NEAR(power_integral(nodes, 0), 1, 1e-15);
    EXPECT_NEAR(power_integral(nodes, 1), 0.5, 1e-15);
    EXPECT_NEAR(power_integral(nodes, 2) - 1.0 / 3, 1.0 / (6.0 * (count - 1)), 1e-15);
  }
}

TEST(Quadrature, RefusesTooFewNodesAndUnknownRules) {
  EXPECT_THROW(quadrature("gauss", 0), ptq::ConfigError);
  EXPECT_THROW(quadrature("mean", 1), ptq::ConfigError);
  EXPECT_THROW(quadrature("simpson", 3), std::logic_error);
}

}  // namespace
