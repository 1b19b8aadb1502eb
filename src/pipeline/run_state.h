#pragma once
#include <filesystem>
#include <future>
#include <mutex>
#include <string>
#include <vector>

#include "ptq/report/quantize_report.h"

namespace ptq::detail {

/// Throws ConfigError naming what changed unless `now`, what decides a run's output, is what `then`
/// was when the unfinished run in `work` began.
void require_same_run(const Json& now, const Json& then, const std::filesystem::path& work);

/// What an unfinished run keeps beside its shards: who it is and the reports of the finished
/// blocks. A run goes on only with the same identity, so that the bytes are those of an
/// uninterrupted run.
class RunState {
 public:
  /// `identity`: everything that decides the output's bytes (RunIdentity).
  RunState(std::filesystem::path partial_directory, std::shared_future<Json> identity);

  /// Reads progress.json if there is one, waiting for the identity; false if there is none.  Throws
  /// ConfigError naming what changed if it is of another run, and the identity's own error.
  bool resume();
  /// Forgets all but the first `count` blocks: those after it lost their shard.
  void keep(int64_t count);
  int64_t blocks() const { return static_cast<int64_t>(blocks_.size()); }
  /// True if block `index` is recorded as finished.
  bool finished(int64_t index) const;
  const std::vector<SiteReport>& reports(int64_t index) const;
  /// Records block `index`, whose shard must be safe already: on disk if the identity is known by
  /// now, else with `save`.  Throws the identity's error.
  void record(int64_t index, const std::vector<SiteReport>& reports);
  /// Writes progress.json as soon as the identity is known, so that an early interruption can be
  /// resumed.  May run beside `record`.  Throws the identity's error.
  void save();

 private:
  void write() const;

  std::filesystem::path file_;
  std::shared_future<Json> identity_;
  // Of what follows and of the file while `record` and `save` run.  All else reads and changes
  // blocks_ without it: before the first record, or of blocks that were there by then.
  std::mutex mutex_;
  std::vector<std::vector<SiteReport>> blocks_;
};

}  // namespace ptq::detail
