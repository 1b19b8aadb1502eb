#pragma once
#include <cstdint>
#include <filesystem>
#include <string>

#include "ptq/core/options.h"
#include "ptq/pipeline/job.h"

namespace ptq {

/// What `ptq export --dense` is told.
struct ExportJob {
  std::filesystem::path model, out;
  bool overwrite = false;
};

/// What `export_dense` wrote.
struct ExportReport {
  std::string dtype;          ///< of the dequantized weights: "BFloat16"
  int64_t linears = 0;        ///< dequantized
  int64_t sparse_values = 0;  ///< single weights put in their places
  int64_t bytes = 0;          ///< of the output's tensors

  Json to_json() const;
};

/// Writes the quantized directory `job.model` as a full-precision one: its linears dequantized with
/// their single weights in place, rounded once to the model's own dtype (that of its largest tensor
/// outside of them); all other tensors and side files as they are; config.json without
/// "quantization_config" and "ptq_sparse".  `job.out` is whole or absent; one block is in memory at
/// a time.  Throws UnsupportedError for a directory that is not quantized, NumericalError for a
/// weight beyond the dtype's range; else as open_directory and CheckpointWriter.
ExportReport export_dense(const ExportJob& job, ProgressListener& listener);

}  // namespace ptq
