#include "ptq/backends/selection.h"

#include <gmock/gmock.h>

#include "ptq/core/error.h"

namespace ptq {
namespace {

const WeightShape kFourBits{{4, 64, true}, 32, 64, false, false};
const WeightShape kThreeBits{{3, 64, true}, 32, 64, false, false};

TEST(BackendSelection, AutoTakesTheFastestThatSupportsAWeight) {
  const BackendSelection all("auto");
  EXPECT_EQ(all.choose(kFourBits).name, "cpu");
  EXPECT_EQ(all.choose(kThreeBits).name, "reference");
}

TEST(BackendSelection, AForcedOneRunsOrSaysWhyNot) {
  EXPECT_EQ(BackendSelection("reference").choose(kFourBits).name, "reference");
  const BackendSelection cpu("cpu");
  EXPECT_EQ(cpu.choose(kFourBits).name, "cpu");
  try {
    cpu.choose(kThreeBits);
    FAIL();
  } catch (const UnsupportedError& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr("4-bit codes, not 3-bit"));
    EXPECT_EQ(error.hint(), "use --backend auto");
  }
}

TEST(BackendSelection, AnUnknownNameIsAConfigError) {
  EXPECT_THROW(BackendSelection("fast"), ConfigError);
}

TEST(BackendSelection, OptionsReachTheBackendTheyName) {
  EXPECT_NO_THROW(BackendSelection("auto", {{"cuda", {{"path", "fused"}}}}));
  EXPECT_THROW(BackendSelection("auto", {{"cuda", {{"path", "slow"}}}}), ConfigError);
  EXPECT_THROW(BackendSelection("auto", {{"cuda", {{"speed", 1}}}}), ConfigError);
  EXPECT_THROW(BackendSelection("auto", {{"fast", {{"path", "fused"}}}}), ConfigError);
  try {
    BackendSelection("cpu", {{"cuda", {{"path", "fused"}}}});
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_EQ(error.hint(), "use --backend cuda");
  }
}

TEST(BackendSelection, OneThatCannotRunIsRefusedWithItsReasonIfPossible) {
  const auto reason = backends().make("cuda")->unavailable();
  if (!reason) GTEST_SKIP() << "every backend runs on this machine";
  try {
    BackendSelection("cuda");
    FAIL();
  } catch (const UnsupportedError& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr(*reason));
  }
  EXPECT_THAT(BackendSelection("auto").left_out(), ::testing::Contains("cuda: " + *reason));
}

}  // namespace
}  // namespace ptq
