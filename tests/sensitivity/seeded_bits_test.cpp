#include "ptq/sensitivity/seeded_bits.h"

#include <set>
#include <vector>

#include <gtest/gtest.h>

namespace {

using ptq::estimator::SeededBits;

TEST(SeededBits, RepeatForANameAndSeedAndDifferForOthers) {
  SeededBits bits("a", 1), again("a", 1);
  const uint64_t first = bits.next();
  EXPECT_EQ(first, again.next());
  EXPECT_NE(first, bits.next());
  EXPECT_NE(first, SeededBits("b", 1).next());
  EXPECT_NE(first, SeededBits("a", 2).next());
}

TEST(SeededBits, DrawEveryNumberBelowABoundAboutEquallyOften) {
  SeededBits bits("bounds", 0);
  std::vector<int> counts(7);
  constexpr int kDraws = 7000;
  for (int i = 0; i < kDraws; ++i)
    ++counts.at(static_cast<size_t>(bits.below(7)));
  // A binomial's standard deviation here is 29.
  for (const int count : counts)
    EXPECT_NEAR(count, 1000, 4 * 30);
}

}  // namespace
