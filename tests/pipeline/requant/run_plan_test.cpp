#include "../../../src/pipeline/requant/run_plan.h"

#include <cstdio>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ptq/core/error.h"
#include "ptq/io/memory.h"
#include "ptq/pipeline/quantize.h"

namespace ptq::detail {
namespace {

namespace fs = std::filesystem;

/// What the files in `directory` take on a disk of blocks of 4 KiB.
int64_t allocated(const fs::path& directory) {
  int64_t bytes = 0;
  if (!fs::exists(directory)) return 0;
  for (const auto& entry : fs::recursive_directory_iterator(directory)) {
    if (entry.is_directory()) bytes += 4096;
    std::error_code gone;  // a file is renamed when it is whole
    const uintmax_t size = entry.is_regular_file(gone) ? entry.file_size(gone) : 0;
    if (!gone) bytes += static_cast<int64_t>((size + 4095) / 4096 * 4096 / entry.hard_link_count());
  }
  return bytes;
}

/// Counts what begins, and looks at the disk whenever the run tells something.
struct Watcher : ProgressListener {
  void begin(const std::string& what, int64_t, int64_t) override {
    ++(what == "quantizing" ? runs : sweeps);
    poll();
  }
  void step(int64_t, const std::string&) override { poll(); }
  void note(const std::string& line) override { notes.push_back(line); }
  void warning(const std::string&) override {}
  void poll() override { most = std::max(most, allocated(partial)); }

  fs::path partial;
  int64_t runs = 0, sweeps = 0, most = 0;
  std::vector<std::string> notes;
};

class RunPlanTest : public ::testing::Test {
 protected:
  void SetUp() override {
    work_ = fs::path(::testing::TempDir()) /
            (std::string("run_plan_") +
             ::testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(work_);
    fs::create_directories(work_);
    job_.model = fs::path(PTQ_SOURCE_DIR) / "tests/data/tale-llama";
    job_.out = work_ / "out";
    job_.method = "requant";
    job_.plan.scheme = {3, 64, true};
    job_.calibration.files = {job_.model / "calibration.txt"};
    job_.calibration.samples = 8;
    job_.calibration.seqlen = 64;
  }
  void TearDown() override { fs::remove_all(work_); }

  /// The plan says what a run does.
  void expect_kept(const Json& settings) {
    SCOPED_TRACE(settings.dump());
    job_.plugin_options["requant"] = settings;
    fs::remove_all(job_.out);
    Watcher watcher;
    watcher.partial = work_ / "out.ptq-partial";
    const QuantizePlan plan = plan_quantize(job_, watcher);
    EXPECT_EQ(watcher.runs + watcher.sweeps, 0);
    EXPECT_FALSE(fs::exists(watcher.partial));
    const QuantizeReport report = quantize_checkpoint(job_, watcher);
    // At its end, when it tells nothing, it has the result there and what is linked to that.
    watcher.most = std::max(watcher.most, allocated(job_.out));
    EXPECT_LE(watcher.most, plan.disk_bytes);
    EXPECT_GT(watcher.most * 3 / 2, plan.disk_bytes);
    EXPECT_LE(report.output_bytes, plan.output_bytes);
    EXPECT_GT(report.output_bytes * 21 / 20, plan.output_bytes);
    EXPECT_EQ(watcher.runs, plan.runs);
    ASSERT_FALSE(watcher.notes.empty());
    long long gradients = 0, losses = 0;
    const std::string line = watcher.notes.front();
    const size_t at = line.find("sweeps");
    ASSERT_NE(at, std::string::npos) << line;
    ASSERT_EQ(std::sscanf(line.c_str() + at, "sweeps with gradients: %lld, without: %lld",
                          &gradients, &losses),
              2)
        << line;
    EXPECT_EQ(watcher.sweeps, gradients + losses);
    EXPECT_THAT(plan.notes, ::testing::Contains(line));
  }

  fs::path work_;
  QuantizeJob job_;
};

TEST_F(RunPlanTest, IsWhatARunDoesAndAtMostTakes) {
  expect_kept({{"base", "rtn"}});
  expect_kept({{"base", "rtn"}, {"outliers", 0}, {"requantize", false}, {"nodes", 2}});
  expect_kept({{"base", "rtn"}, {"significant", 0}, {"exponents", "0"}});
  expect_kept({{"base", "rtn"},
               {"exponents", "0,1"},
               {"held_back", 2},
               {"ranking", "endpoint"},
               {"steps", 3},
               {"target_bpw", 4.2},
               {"group_sizes", "32,64"}});
}

TEST_F(RunPlanTest, CountsWhatABaseMakesOfTheModel) {
  job_.plan.scheme = {4, 64, true};
  expect_kept({{"base", "awq"}, {"ranking", "pqi"}, {"nodes", 2}});
}

TEST_F(RunPlanTest, CountsWhatIsCollectedForTheBase) {
  job_.plan.scheme = {3, -1, true, true};
  job_.format = "squeezellm";
  expect_kept({{"base", "kmeans"}, {"nodes", 1}});
}

TEST_F(RunPlanTest, AsksForWhatIsNotThere) {
  const RunPlan plan = [] {
    RunPlan made;
    made.parts = {{"first", 10, 100}, {"second/manifest.json", 20, 5}, {"third", 1, 30}};
    return made;
  }();
  EXPECT_EQ(plan.disk_bytes(), 110);
  EXPECT_EQ(plan.disk_bytes(work_), 110);
  fs::create_directories(work_ / "second");
  fs::create_directories(work_ / "first");
  EXPECT_EQ(plan.disk_bytes(work_), 61);
  std::ofstream(work_ / "second/manifest.json") << "{}";
  fs::create_directories(work_ / "third");
  EXPECT_EQ(plan.disk_bytes(work_), 0);
}

TEST_F(RunPlanTest, IsRefusedWithoutTheDiskForItBesideWhatIsThere) {
  Watcher watcher;
  RunPlan plan;
  const fs::path runs = work_ / "runs";
  constexpr int64_t kMuch = int64_t{1} << 43;
  plan.parts = {{"first", kMuch, 0}};
  plan.base_runs = 3;
  EXPECT_THROW(announce(plan, "rtn", runs, watcher), ResourceError);
  EXPECT_THAT(watcher.notes, ::testing::ElementsAre(::testing::HasSubstr("runs of rtn: 3")));
  // A file with nothing written in it takes no disk.
  fs::create_directories(runs / "first.ptq-partial");
  std::ofstream(runs / "first.ptq-partial/shard") << "";
  fs::resize_file(runs / "first.ptq-partial/shard", kMuch - 1);
  EXPECT_NO_THROW(announce(plan, "rtn", runs, watcher));
  EXPECT_THAT(watcher.notes.back(), ::testing::HasSubstr("are there"));
}

}  // namespace
}  // namespace ptq::detail
