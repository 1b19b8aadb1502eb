#pragma once
#include "ptq/pipeline/job.h"
#include "ptq/report/quantize_report.h"

namespace ptq {

/// What a run will do, before any work.
struct QuantizePlan {
  struct Row {
    LinearSite site;
    QuantScheme scheme;
    int64_t bytes = 0;  ///< on disk, scales and zeros included
  };
  std::vector<Row> rows;
  std::vector<std::string> skipped, warnings;
  std::vector<std::string> notes;  ///< what else is known of the run, and of the figures
  std::vector<EngineSupport> engines;
  int64_t input_bytes = 0, output_bytes = 0;
  int64_t disk_bytes = 0;         ///< the most that the run takes at a time, the output included
  int64_t runs = 1;               ///< of a quantizer over all blocks
  int64_t memory_bytes = 0;       ///< estimated peak
  bool replays = false;           ///< the memory limit makes the run recompute activations
  double estimated_seconds = -1;  ///< from a measured block; -1: not measured
  Json calibration;

  Json to_json() const;
  std::string text() const;
};

/// Plans `job`, measures a block for the time estimate, writes nothing.
QuantizePlan plan_quantize(const QuantizeJob& job, ProgressListener& listener);

/// Runs `job`: reads the model, quantizes block by block, writes `job.out` and its
/// ptq-manifest.json. Throws as its parts do; a run that was interrupted (InterruptedError, kill,
/// power) can be resumed.
QuantizeReport quantize_checkpoint(const QuantizeJob& job, ProgressListener& listener);

}  // namespace ptq
