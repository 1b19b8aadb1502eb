#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "ptq/core/options.h"
#include "ptq/quant/scheme.h"

namespace ptq {

/// What `ptq inspect` tells of a model directory.
struct Inspection {
  struct Row {
    std::string name;
    int64_t out_features = 0, in_features = 0;
    std::string scheme;          ///< "w4g64", or the dtype of a linear that is not quantized
    int64_t bytes = 0;           ///< in the checkpoint, everything under the linear's name
    double bits_per_weight = 0;  ///< 8 · bytes / weights
    int64_t sparse_values = 0;   ///< single weights beside the checkpoint
    int64_t sparse_bytes = 0;

    int64_t weights() const { return out_features * in_features; }
  };
  std::string model_type, format;  ///< format: "" for full precision
  std::vector<Row> rows;
  std::vector<std::string> notes;  ///< where tensors contradict the config and were believed
  int64_t linear_bytes = 0, other_bytes = 0, parameters = 0;
  int64_t sparse_values = 0, sparse_bytes = 0;  ///< of all linears, not in linear_bytes

  Json to_json() const;
  std::string text() const;
};

/// Reads headers and configuration of `directory`, no weights.  Throws as open_directory.
Inspection inspect_directory(const std::filesystem::path& directory);

/// One thing `ptq verify` looked at.
struct VerifyOutcome {
  std::string check;  ///< "layout", "scales", "hashes", …
  bool passed = false;
  std::string detail;  ///< what was found, or how much was looked at
};

/// Re-reads a quantized directory: every linear decodes, scales are finite and not zero, zero
/// points follow the format, single weights lie in their places and are finite, no tensor is left
/// over, and the files have the hashes in ptq-manifest.json (a directory of another tool has none:
/// told, not failed).  Throws FormatError where nothing can be read.
std::vector<VerifyOutcome> verify_directory(const std::filesystem::path& directory);

}  // namespace ptq
