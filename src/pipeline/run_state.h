#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "ptq/report/quantize_report.h"

namespace ptq::detail {

/// What an unfinished run keeps beside its shards: who it is and the reports of the finished
/// blocks. A run goes on only with the same identity, so that the bytes are those of an
/// uninterrupted run.
class RunState {
 public:
  /// `identity`: everything that decides the output's bytes, by topic ("settings", "model", …).
  RunState(std::filesystem::path partial_directory, Json identity);

  /// Reads progress.json if there is one.  Throws ConfigError naming what changed if it is of
  /// another run.
  void resume();
  /// Forgets all but the first `count` blocks: those after it lost their shard.
  void keep(int64_t count);
  int64_t blocks() const { return static_cast<int64_t>(blocks_.size()); }
  /// True if block `index` is recorded as finished.
  bool finished(int64_t index) const;
  const std::vector<SiteReport>& reports(int64_t index) const;
  /// Records block `index` on disk; its shard must be safe already.
  void record(int64_t index, const std::vector<SiteReport>& reports);
  /// Writes progress.json without a block, so that an early interruption can be resumed.
  void save() const;

 private:
  std::filesystem::path file_;
  Json identity_;
  std::vector<std::vector<SiteReport>> blocks_;
};

}  // namespace ptq::detail
