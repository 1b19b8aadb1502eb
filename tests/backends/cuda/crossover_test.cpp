#include "crossover.h"

#include <gtest/gtest.h>

#include "find_crossover.h"

namespace ptq::cuda {
namespace {

TEST(Crossover, EveryBuiltArchitectureHasBothEntriesInRisingOrder) {
  for (const int capability : {80, 86, 89, 90}) {
    for (const bool sparse : {false, true}) {
      EXPECT_EQ(crossover_of(capability, sparse).capability, capability);
      EXPECT_EQ(crossover_of(capability, sparse).sparse, sparse);
      EXPECT_GT(crossover_of(capability, sparse).tokens, 0);
    }
  }
  int before = 0;
  for (const Crossover& each : kCrossovers) {
    EXPECT_GE(each.capability, before);
    before = each.capability;
  }
}

TEST(Crossover, ADeviceWithoutAnEntryHasThatOfTheLastBeforeIt) {
  EXPECT_EQ(crossover_of(87, false).capability, 86);
  EXPECT_EQ(crossover_of(120, true).capability, 90);
  EXPECT_TRUE(crossover_of(120, true).sparse);
  EXPECT_EQ(crossover_of(75, false).capability, 80);
}

TEST(FindCrossover, IsWhereTheSecondStaysFaster) {
  const std::vector<int64_t> tokens = {16, 32, 64, 128};
  EXPECT_EQ(find_crossover(tokens, {1, 2, 4, 8}, {3, 3, 3, 3}), 64);
  EXPECT_EQ(find_crossover(tokens, {1, 2, 4, 8}, {0.5, 3, 3, 3}), 64);  // a lucky one before
  EXPECT_EQ(find_crossover(tokens, {1, 2, 4, 8}, {0.5, 1, 2, 4}), 16);
  EXPECT_EQ(find_crossover(tokens, {1, 2, 4, 8}, {9, 9, 9, 9}), std::nullopt);
  EXPECT_EQ(find_crossover({}, {}, {}), std::nullopt);
}

}  // namespace
}  // namespace ptq::cuda
