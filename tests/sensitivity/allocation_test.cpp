#include "ptq/sensitivity/allocation.h"

#include <cmath>
#include <limits>
#include <random>

#include <gtest/gtest.h>

#include "ptq/core/error.h"

namespace {

using ptq::allocate;
using ptq::Allocation;
using Items = std::vector<std::vector<ptq::StorageOption>>;

/// Sums of the same costs in two orders may differ by this.
constexpr double kRounding = 1e-12;

/// Options with any sizes and costs: dominated ones, ties and bumps included.
Items random_items(uint64_t seed, size_t count, size_t most_options, int64_t largest) {
  std::mt19937_64 random(seed);
  Items items(count);
  for (auto& options : items) {
    options.resize(1 + random() % most_options);
    for (ptq::StorageOption& option : options)
      option = {static_cast<int64_t>(random() % static_cast<uint64_t>(largest)),
                static_cast<double>(random() % 1000) / 64};
  }
  return items;
}

int64_t extreme_size(const Items& items, bool largest) {
  int64_t sum = 0;
  for (const auto& options : items) {
    int64_t one = options.front().size;
    for (const auto& option : options)
      one = largest ? std::max(one, option.size) : std::min(one, option.size);
    sum += one;
  }
  return sum;
}

/// The least cost within every budget 0 … budget, by dynamic programming over sizes; infinity
/// where nothing fits.
std::vector<double> least_costs(const Items& items, int64_t budget) {
  const auto cells = static_cast<size_t>(budget) + 1;
  std::vector<double> best(cells, 0.0);
  for (const auto& options : items) {
    std::vector<double> next(cells, INFINITY);
    for (size_t size = 0; size < cells; ++size)
      for (const auto& option : options)
        if (static_cast<size_t>(option.size) <= size)
          next[size] =
              std::min(next[size], best[size - static_cast<size_t>(option.size)] + option.cost);
    best = std::move(next);
  }
  return best;
}

void expect_consistent(const Items& items, const Allocation& found, int64_t budget) {
  int64_t size = 0;
  double cost = 0;
  ASSERT_EQ(found.choice.size(), items.size());
  for (size_t i = 0; i < items.size(); ++i) {
    size += items[i].at(found.choice[i]).size;
    cost += items[i].at(found.choice[i]).cost;
  }
  EXPECT_EQ(found.size, size);
  EXPECT_LE(size, budget);
  EXPECT_NEAR(found.cost, cost, kRounding * (1 + cost));
  EXPECT_LE(found.bound, cost + kRounding * (1 + cost));
}

TEST(Allocation, CostsAsLittleAsDynamicProgrammingFinds) {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    const Items items = random_items(seed, 1 + seed % 12, 5, 40);
    const int64_t most = extreme_size(items, true);
    const std::vector<double> least = least_costs(items, most);
    for (int64_t budget = 0; budget <= most; budget += 1 + most / 7) {
      const std::optional<Allocation> found = allocate(items, budget);
      const double wanted = least[static_cast<size_t>(budget)];
      ASSERT_EQ(found.has_value(), std::isfinite(wanted)) << "seed " << seed << " at " << budget;
      if (!found) continue;
      expect_consistent(items, *found, budget);
      EXPECT_TRUE(found->exact);
      EXPECT_NEAR(found->cost, wanted, kRounding * (1 + wanted))
          << "seed " << seed << " at " << budget;
    }
  }
}

/// As of a model: hundreds of linears of four shapes, five schemes, costs that fall about fourfold
/// a bit.
Items like_a_model(uint64_t seed, size_t count) {
  std::mt19937_64 random(seed);
  const auto uniform = [&] { return static_cast<double>(random() >> 11) * 0x1p-53; };
  Items items;
  for (size_t i = 0; i < count; ++i) {
    const int64_t weights = std::vector<int64_t>{9, 3, 16, 8}[i % 4];
    const double sensitivity = std::exp(6 * uniform());
    std::vector<ptq::StorageOption> options;
    for (const int quarter_bits : {9, 13, 17, 16, 33})
      options.push_back({weights * quarter_bits,
                         sensitivity * std::pow(4.0, -quarter_bits / 4.0) * (0.7 + uniform())});
    items.push_back(options);
  }
  return items;
}

TEST(Allocation, IsExactForHundredsOfLinears) {
  for (uint64_t seed = 0; seed < 5; ++seed) {
    const Items items = like_a_model(seed, 120);
    const int64_t budget =
        extreme_size(items, false) + (extreme_size(items, true) - extreme_size(items, false)) / 6;
    const std::optional<Allocation> found = allocate(items, budget);
    ASSERT_TRUE(found);
    expect_consistent(items, *found, budget);
    EXPECT_TRUE(found->exact);
    EXPECT_NEAR(found->cost, least_costs(items, budget).back(), kRounding * found->cost);
  }
}

TEST(Allocation, NeverCostsMoreWithALargerBudget) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const Items items = like_a_model(seed, 40);
    const int64_t least = extreme_size(items, false), most = extreme_size(items, true);
    double before = INFINITY;
    for (int64_t step = 0; step <= 50; ++step) {
      const std::optional<Allocation> found = allocate(items, least + (most - least) * step / 50);
      ASSERT_TRUE(found && found->exact);
      EXPECT_LE(found->cost, before * (1 + kRounding));
      before = found->cost;
    }
  }
}

TEST(Allocation, GivesEveryItemItsCheapestOptionWhereTheBudgetDoesNotBind) {
  const Items items = random_items(3, 30, 6, 100);
  const std::optional<Allocation> found = allocate(items, extreme_size(items, true));
  ASSERT_TRUE(found);
  for (size_t i = 0; i < items.size(); ++i)
    for (const ptq::StorageOption& option : items[i])
      EXPECT_LE(items[i][found->choice[i]].cost, option.cost);
  EXPECT_EQ(found->price, 0);
}

TEST(Allocation, SpendsNothingWhereNothingIsGained) {
  const Items items{{{5, 1.0}, {3, 1.0}, {9, 1.0}}, {{4, 0.0}, {2, 0.0}}};
  const std::optional<Allocation> found = allocate(items, 100);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->choice, (std::vector<size_t>{1, 1}));
}

TEST(Allocation, ConvexCurvesWithEqualStepsNeedNoRepair) {
  // Then the steps by falling gain are the solution: the price alone proves it.
  Items items;
  for (int i = 0; i < 8; ++i) {
    std::vector<ptq::StorageOption> options;
    for (int bits = 2; bits <= 8; ++bits)
      options.push_back({bits * 10, (i + 1) * std::pow(4.0, -bits)});
    items.push_back(options);
  }
  for (int64_t budget = 160; budget <= 640; budget += 10) {
    const std::optional<Allocation> found = allocate(items, budget);
    ASSERT_TRUE(found);
    EXPECT_NEAR(found->cost, found->bound, kRounding);
  }
}

TEST(Allocation, IsNothingBelowTheSmallestOptions) {
  const Items items{{{5, 1.0}, {3, 2.0}}, {{4, 0.0}}};
  EXPECT_FALSE(allocate(items, 6));
  EXPECT_TRUE(allocate(items, 7));
  EXPECT_TRUE(allocate({}, 0));
}

TEST(Allocation, GivesAnAnswerWhereTheSearchWouldTakeTooLong) {
  // Sizes without a common divisor, and no order in the costs: what is left undominated grows
  // without bound.
  std::mt19937_64 random(5);
  Items items(2000);
  for (auto& options : items)
    for (int k = 0; k < 8; ++k)
      options.push_back({static_cast<int64_t>(random() % 1000000007),
                         static_cast<double>(random() >> 11) * 0x1p-53});
  const int64_t budget = extreme_size(items, true) / 3;
  const std::optional<Allocation> found = allocate(items, budget);
  ASSERT_TRUE(found);
  expect_consistent(items, *found, budget);
  EXPECT_FALSE(found->exact);
  EXPECT_LE(found->cost - found->bound, 1e-3 * found->cost);
}

TEST(Allocation, RefusesCostsThatAreNotFiniteAndItemsWithoutOptions) {
  EXPECT_THROW(allocate({{{1, std::numeric_limits<double>::quiet_NaN()}}}, 5), ptq::NumericalError);
  EXPECT_THROW(allocate({{{1, INFINITY}}}, 5), ptq::NumericalError);
  EXPECT_THROW(allocate({{{1, 0.0}}, {}}, 5), std::logic_error);
}

}  // namespace
