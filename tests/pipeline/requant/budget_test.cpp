#include "../../../src/pipeline/requant/budget.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ptq/core/error.h"
#include "ptq/formats/sparse_part.h"

namespace ptq::detail {
namespace {

LinearSite site(const std::string& name, int64_t out, int64_t in) {
  return {name, name + ".input", 0, 0, out, in};
}

const std::vector<LinearSite> kSites{site("a", 512, 256), site("b", 128, 1024),
                                     site("left", 64, 64)};

QuantPlan plan(int bits, int64_t group) {
  const QuantScheme scheme{bits, group, true};
  return {{"a", scheme}, {"b", scheme}};
}

RequantSettings settings(double target) {
  RequantSettings settings;
  settings.outliers = 0.45;
  settings.significant = 0.05;
  settings.target_bpw = target;
  return settings;
}

constexpr int64_t kWeights = 512 * 256 + 128 * 1024;

TEST(SparseBudget, WithoutATargetIsThePartsThatWereAsked) {
  const SparseBudget budget = SparseBudget::of(settings(0), kSites, plan(3, 64));
  EXPECT_EQ(budget.weights, kWeights);
  EXPECT_EQ(budget.outliers, kWeights * 45 / 10000);
  EXPECT_EQ(budget.significant, kWeights * 5 / 10000);
}

TEST(SparseBudget, FillsATargetAndHoldsIt) {
  const double target = 3.5;
  const SparseBudget budget = SparseBudget::of(settings(target), kSites, plan(3, 128));
  EXPECT_NEAR(static_cast<double>(budget.outliers) / static_cast<double>(budget.significant), 9,
              0.1);
  // However the single weights are divided between the two linears.
  const int64_t count = budget.outliers + budget.significant;
  for (const int64_t of_a : {int64_t{0}, count / 3, count}) {
    const double bits = 8.0 * static_cast<double>(sparse_bytes(512, 256, of_a) +
                                                  sparse_bytes(128, 1024, count - of_a)) +
                        (3 + 16.0 / 128) * kWeights;
    EXPECT_LE(bits, target * kWeights);
  }
  const double most =
      8.0 * static_cast<double>(sparse_bytes(512, 256, 1) + sparse_bytes(128, 1024, count - 1));
  // Two more of the dearer kind, and two roundings down, would not fit.
  EXPECT_GT(most + (3 + 16.0 / 128) * kWeights + 4 * 32, target * kWeights);
}

TEST(SparseBudget, HasNothingWhereTheDensePartTakesAll) {
  const SparseBudget budget = SparseBudget::of(settings(3.25), kSites, plan(3, 64));
  EXPECT_EQ(budget.outliers, 0);
  EXPECT_EQ(budget.significant, 0);
}

TEST(SparseBudget, BelowTheDensePartIsImpossible) {
  try {
    SparseBudget::of(settings(3.2), kSites, plan(3, 64));
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr("3.2500"));
  }
}

}  // namespace
}  // namespace ptq::detail
