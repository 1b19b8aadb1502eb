#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "ptq/io/dataset.h"
#include "ptq/model/config.h"

namespace ptq::detail {

/// Windows that the calibration has not seen.
struct HeldoutWindows {
  at::Tensor tokens;  ///< int64 [windows, seq]
  /// CalibrationReport of these windows, and under "overlap_with" for every calibration file the
  /// share of the windows' sequences of 32 tokens that occur in it.
  Json report;
  std::vector<std::string> warnings;
};

/// Reads the windows `wanted`.  `calibration`: the files that statistics were collected from; none:
/// a store was read, and what it was made from is not known.  Throws ConfigError if no file is
/// named, if one is a calibration file by path or by content, for windows longer than the model's
/// positions, and as load_calibration.
HeldoutWindows load_heldout(const CalibrationRequest& wanted,
                            const std::vector<std::filesystem::path>& calibration,
                            const std::filesystem::path& model, const ModelConfig& config);

}  // namespace ptq::detail
