#include "../../src/pipeline/run_state.h"

#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace {

using ptq::detail::RunState;

std::filesystem::path fresh_directory(const std::string& name) {
  const std::filesystem::path path =
      std::filesystem::path(testing::TempDir()) / ("ptq_run_state_" + name);
  std::filesystem::remove_all(path);
  std::filesystem::create_directories(path);
  return path;
}

ptq::SiteReport site(const std::string& name) {
  ptq::SiteReport report;
  report.name = name;
  report.relative_error = 0.125;
  return report;
}

TEST(RunState, RemembersFinishedBlocks) {
  const auto directory = fresh_directory("remembers");
  const ptq::Json identity = {{"settings", {{"bits", 4}}}};
  RunState state(directory, identity);
  state.record(0, {site("a"), site("b")});
  state.record(1, {site("c")});
  RunState later(directory, identity);
  later.resume();
  EXPECT_TRUE(later.finished(1));
  EXPECT_FALSE(later.finished(2));
  EXPECT_EQ(later.reports(0).at(1).name, "b");
  EXPECT_EQ(later.reports(1).at(0).relative_error, 0.125);
  later.keep(1);
  EXPECT_FALSE(later.finished(1));
  EXPECT_THROW(later.record(2, {}), std::logic_error);
}

TEST(RunState, RefusesAnotherRunAndNamesWhatChanged) {
  const auto directory = fresh_directory("refuses");
  RunState(directory, {{"settings", {{"bits", 4}, {"seed", 0}}}}).save();
  RunState other(directory, {{"settings", {{"bits", 3}, {"seed", 0}}}});
  try {
    other.resume();
    FAIL() << "another run was resumed";
  } catch (const ptq::ConfigError& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("settings.bits (was 4, is 3)"));
    EXPECT_THAT(error.what(), testing::Not(testing::HasSubstr("seed")));
  }
}

TEST(RunState, StartsAfreshWithoutAFileAndRefusesABrokenOne) {
  const auto directory = fresh_directory("broken");
  RunState state(directory, {});
  state.resume();
  EXPECT_FALSE(state.finished(0));
  std::FILE* file = std::fopen((directory / "progress.json").c_str(), "w");
  ASSERT_NE(file, nullptr);
  std::fputs("{\"identity\": {}}", file);
  std::fclose(file);
  EXPECT_THROW(state.resume(), ptq::FormatError);
}

}  // namespace
