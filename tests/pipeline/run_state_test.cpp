#include "../../src/pipeline/run_state.h"

#include <filesystem>
#include <future>

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

/// An identity that is known already.
std::shared_future<ptq::Json> known(const ptq::Json& identity) {
  std::promise<ptq::Json> promise;
  promise.set_value(identity);
  return promise.get_future().share();
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
  RunState state(directory, known(identity));
  state.record(0, {site("a"), site("b")});
  state.record(1, {site("c")});
  RunState later(directory, known(identity));
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
  RunState(directory, known({{"settings", {{"bits", 4}, {"seed", 0}}}})).save();
  RunState other(directory, known({{"settings", {{"bits", 3}, {"seed", 0}}}}));
  try {
    other.resume();
    FAIL() << "another run was resumed";
  } catch (const ptq::ConfigError& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("settings.bits (was 4, is 3)"));
    EXPECT_THAT(error.what(), testing::Not(testing::HasSubstr("seed")));
  }
}

TEST(RunState, WritesWhatItRecordedAsSoonAsTheIdentityIsKnown) {
  const auto directory = fresh_directory("identity");
  std::promise<ptq::Json> promise;
  const std::shared_future<ptq::Json> identity = promise.get_future().share();
  RunState state(directory, identity);
  state.record(0, {site("a")});
  EXPECT_FALSE(std::filesystem::exists(directory / "progress.json"));
  std::future<void> saved = std::async(std::launch::async, [&] { state.save(); });
  state.record(1, {site("b")});
  promise.set_value({{"version", 1}});
  saved.get();
  RunState later(directory, identity);
  later.resume();
  EXPECT_EQ(later.blocks(), 2);
}

TEST(RunState, AnInterruptionBeforeTheIdentityIsKnownLeavesNothingToGoOnWith) {
  const auto directory = fresh_directory("interrupted");
  std::promise<ptq::Json> promise;
  RunState state(directory, promise.get_future().share());
  state.record(0, {site("a")});
  std::future<void> saved = std::async(std::launch::async, [&] { state.save(); });
  promise.set_exception(std::make_exception_ptr(ptq::InterruptedError("interrupted")));
  EXPECT_THROW(saved.get(), ptq::InterruptedError);
  RunState later(directory, known({{"version", 1}}));
  EXPECT_FALSE(later.resume());
  EXPECT_EQ(later.blocks(), 0);
  later.save();
  EXPECT_TRUE(RunState(directory, known({{"version", 1}})).resume());
}

TEST(RunState, ThrowsWhatTheIdentityThrew) {
  const auto directory = fresh_directory("fault");
  std::promise<ptq::Json> promise;
  RunState state(directory, promise.get_future().share());
  promise.set_exception(std::make_exception_ptr(ptq::ConfigError("a file cannot be read")));
  EXPECT_THROW(state.record(0, {}), ptq::ConfigError);
  EXPECT_THROW(state.save(), ptq::ConfigError);
  EXPECT_FALSE(std::filesystem::exists(directory / "progress.json"));
}

TEST(RunState, StartsAfreshWithoutAFileAndRefusesABrokenOne) {
  const auto directory = fresh_directory("broken");
  RunState state(directory, known({}));
  state.resume();
  EXPECT_FALSE(state.finished(0));
  std::FILE* file = std::fopen((directory / "progress.json").c_str(), "w");
  ASSERT_NE(file, nullptr);
  std::fputs("{\"identity\": {}}", file);
  std::fclose(file);
  EXPECT_THROW(state.resume(), ptq::FormatError);
}

}  // namespace
