#include "../src/quantizers/weighted_kmeans.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ptq::quantizer {
namespace {

using Values = std::vector<WeightedValue>;

double objective(const Values& values, const std::vector<double>& centers) {
  double sum = 0;
  for (const WeightedValue& one : values) {
    double least = std::numeric_limits<double>::infinity();
    for (const double center : centers)
      least = std::min(least, (one.value - center) * (one.value - center));
    sum += one.weight * least;
  }
  return sum;
}

/// Of unlike weights, some values equal.
Values random_values(std::mt19937& random, size_t count) {
  std::normal_distribution<double> normal;
  Values values;
  for (size_t i = 0; i < count; ++i)
    values.push_back({normal(random), std::exp(2 * normal(random))});
  values.back().value = values.front().value;
  return values;
}

/// The centres of mass of clusters, where cluster_of[i] is that of values[i]; empty ones are left
/// out.
std::vector<double> means(const Values& values, const std::vector<int>& cluster_of, int count) {
  std::vector<double> centers;
  for (int k = 0; k < count; ++k) {
    double weight = 0, sum = 0;
    for (size_t i = 0; i < values.size(); ++i)
      if (cluster_of[i] == k) weight += values[i].weight, sum += values[i].weight * values[i].value;
    if (weight > 0) centers.push_back(sum / weight);
  }
  return centers;
}

/// The least objective of all ways to put values into clusters, in rows or not.
double least_of_all(const Values& values, int count) {
  double least = std::numeric_limits<double>::infinity();
  std::vector<int> cluster_of(values.size(), 0);
  for (;;) {
    least = std::min(least, objective(values, means(values, cluster_of, count)));
    size_t i = 0;
    while (i < values.size() && ++cluster_of[i] == count)
      cluster_of[i++] = 0;
    if (i == values.size()) return least;
  }
}

// Both are sums of few numbers of size 1: 1e-12 is far above their rounding.
TEST(WeightedKMeans, IsTheBestOfAllWaysToCluster) {
  std::mt19937 random(1);
  for (const int count : {1, 2, 3, 4})
    for (int draw = 0; draw < 10; ++draw) {
      const Values values = random_values(random, 8);
      const double best = least_of_all(values, count);
      EXPECT_NEAR(objective(values, weighted_kmeans(values, count)), best, 1e-12 * (1 + best));
    }
}

/// Lloyd's iteration from random values.
double lloyd(std::mt19937& random, const Values& values, int count) {
  std::vector<double> centers;
  for (int k = 0; k < count; ++k)
    centers.push_back(values[random() % values.size()].value);
  std::vector<int> cluster_of(values.size());
  for (int step = 0; step < 100; ++step) {
    for (size_t i = 0; i < values.size(); ++i) {
      const auto near = std::min_element(centers.begin(), centers.end(), [&](double a, double b) {
        return std::abs(a - values[i].value) < std::abs(b - values[i].value);
      });
      cluster_of[i] = static_cast<int>(near - centers.begin());
    }
    centers = means(values, cluster_of, count);
  }
  return objective(values, centers);
}

TEST(WeightedKMeans, IsNeverAboveLloydsAndFallsWithTheirNumber) {
  std::mt19937 random(2);
  const Values values = random_values(random, 300);
  double before = std::numeric_limits<double>::infinity();
  bool below = false;
  for (const int count : {1, 2, 3, 8, 16, 64, 256}) {
    const double found = objective(values, weighted_kmeans(values, count));
    EXPECT_LT(found, before);
    before = found;
    for (int start = 0; count <= 16 && start < 20; ++start) {
      const double other = lloyd(random, values, count);
      EXPECT_LE(found, other * (1 + 1e-12));
      below = below || found < 0.99 * other;
    }
  }
  EXPECT_TRUE(below);  // else Lloyd's would do
}

TEST(WeightedKMeans, GivesRisingCenters) {
  std::mt19937 random(3);
  const std::vector<double> centers = weighted_kmeans(random_values(random, 200), 32);
  ASSERT_EQ(centers.size(), 32U);
  EXPECT_TRUE(std::is_sorted(centers.begin(), centers.end()));
}

TEST(WeightedKMeans, GivesFewValuesBack) {
  EXPECT_THAT(weighted_kmeans({{3, 1}, {-1, 2}, {3, 5}, {0.5, 1}}, 4),
              ::testing::ElementsAre(-1, 0.5, 3));
  EXPECT_TRUE(weighted_kmeans({}, 4).empty());
}

// The light pair's cost is far below the rounding of the heavy values' sums of squares.
TEST(WeightedKMeans, FindsTheMeanOfALightClusterBesideHeavyOnes) {
  const std::vector<double> centers =
      weighted_kmeans({{1000, 1e12}, {1, 1e-6}, {2, 1e-6}, {1001, 1e12}}, 3);
  EXPECT_THAT(centers, ::testing::ElementsAre(1.5, 1000, 1001));
}

// So far that squares about 0 would keep no digit of the differences.  The values themselves keep
// 2^-27 there, and the means of means computed on two sides as much again.
TEST(WeightedKMeans, DoesNotNoticeAFarMean) {
  const double away = 0x1p26;
  std::mt19937 random(4);
  Values values = random_values(random, 100), far = values;
  for (WeightedValue& one : far)
    one.value += away;
  const std::vector<double> near = weighted_kmeans(values, 8), moved = weighted_kmeans(far, 8);
  for (size_t k = 0; k < near.size(); ++k)
    EXPECT_NEAR(near[k] + away, moved[k], 0x1p-25);
}

}  // namespace
}  // namespace ptq::quantizer
