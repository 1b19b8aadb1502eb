#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "ptq/io/dataset.h"
#include "ptq/model/config.h"

namespace ptq::detail {

/// The windows that a run reads, and what is to be said of them.
struct CalibrationWindows {
  at::Tensor tokens;  ///< int64 [windows, seqlen]
  Json report;        ///< CalibrationReport
  std::vector<std::string> warnings;
};

/// Reads the windows with the tokenizer of `model`.  Throws ConfigError for a window longer than
/// the model's positions, and as load_calibration and Tokenizer::open.
CalibrationWindows read_calibration(const CalibrationRequest& request,
                                    const std::filesystem::path& model, const ModelConfig& config);

}  // namespace ptq::detail
