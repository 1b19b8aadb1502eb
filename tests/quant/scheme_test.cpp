#include "ptq/quant/scheme.h"

#include <gtest/gtest.h>

#include "ptq/core/error.h"

namespace ptq {
namespace {

TEST(QuantScheme, ShorterLastGroupCountsAsAGroup) {
  EXPECT_EQ((QuantScheme{4, 32, true}.groups(64)), 2);
  EXPECT_EQ((QuantScheme{4, 32, true}.groups(65)), 3);
  EXPECT_EQ((QuantScheme{4, -1, true}.groups(65)), 1);
  EXPECT_EQ((QuantScheme{4, -1, true}.group_length(65)), 65);
}

TEST(QuantScheme, BitsPerWeightCountScalesAndZeroPoints) {
  EXPECT_DOUBLE_EQ((QuantScheme{4, 64, true}.bits_per_weight(128)), 4 + 16.0 / 64);
  EXPECT_DOUBLE_EQ((QuantScheme{4, 64, false}.bits_per_weight(128)), 4 + 20.0 / 64);
  EXPECT_DOUBLE_EQ((QuantScheme{8, -1, true}.bits_per_weight(100)), 8 + 16.0 / 100);
}

TEST(QuantScheme, BitsPerWeightCountTheEntriesOfATable) {
  EXPECT_DOUBLE_EQ((QuantScheme{3, -1, true, true}.bits_per_weight(64)), 3 + 8 * 16.0 / 64);
  EXPECT_DOUBLE_EQ((QuantScheme{8, -1, true, true}.bits_per_weight(4096)), 8 + 1.0);
}

TEST(QuantScheme, NamesAreShortAndDistinct) {
  EXPECT_EQ((QuantScheme{3, -1, true, true}.name()), "w3-lookup");
  EXPECT_EQ((QuantScheme{4, 64, true}.name()), "w4g64");
  EXPECT_EQ((QuantScheme{3, 128, false}.name()), "w3g128-asym");
  EXPECT_EQ((QuantScheme{8, -1, true}.name()), "w8-channel");
  EXPECT_EQ((QuantScheme{8, -1, false}.name()), "w8-channel-asym");
}

TEST(QuantScheme, EqualityLooksAtEveryField) {
  const QuantScheme scheme{4, 64, true};
  EXPECT_TRUE((scheme == QuantScheme{4, 64, true}));
  EXPECT_TRUE((scheme != QuantScheme{3, 64, true}));
  EXPECT_TRUE((scheme != QuantScheme{4, 32, true}));
  EXPECT_TRUE((scheme != QuantScheme{4, 64, false}));
  EXPECT_TRUE((QuantScheme{4, -1, true} != QuantScheme{4, -1, true, true}));
}

TEST(QuantScheme, RefusesBitsAndGroupsOutOfRange) {
  EXPECT_NO_THROW((QuantScheme{2, -1, true}.check()));
  EXPECT_NO_THROW((QuantScheme{8, 1, true}.check()));
  EXPECT_THROW((QuantScheme{1, 64, true}.check()), ConfigError);
  EXPECT_THROW((QuantScheme{9, 64, true}.check()), ConfigError);
  EXPECT_THROW((QuantScheme{4, 0, true}.check()), ConfigError);
  EXPECT_THROW((QuantScheme{4, -2, true}.check()), ConfigError);
}

TEST(QuantScheme, RefusesATableWithGroupsOrZeroPoints) {
  EXPECT_NO_THROW((QuantScheme{3, -1, true, true}.check()));
  EXPECT_THROW((QuantScheme{3, 64, true, true}.check()), ConfigError);
  EXPECT_THROW((QuantScheme{3, -1, false, true}.check()), ConfigError);
  EXPECT_THROW((QuantScheme{9, -1, true, true}.check()), ConfigError);
}

}  // namespace
}  // namespace ptq
