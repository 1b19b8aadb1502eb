#pragma once
#include <string>
#include <vector>

#include "command.h"
#include "ptq/io/dataset.h"
#include "ptq/pipeline/calibrate.h"

namespace ptq::cli {

/// The options that say which calibration windows a command reads.
struct DataArgs {
  CalibrationRequest request;
  std::vector<std::string> files;
  std::string overlap_with;

  void declare(CLI::App& command);
  /// The request as typed.
  CalibrationRequest parsed() const;
};

/// Further options of the commands that collect statistics.
struct SweepArgs {
  std::string labels = "data", shard;
  int64_t sequences_per_set = 0;

  /// `shards`: whether the command can run on a part of the windows.
  void declare(CLI::App& command, bool shards);
  /// Throws ConfigError for a shard that is not "i/n".
  CalibrationData parsed(const DataArgs& data) const;
};

}  // namespace ptq::cli
