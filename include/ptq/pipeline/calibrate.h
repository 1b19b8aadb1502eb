#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "ptq/calib/store.h"
#include "ptq/io/dataset.h"
#include "ptq/pipeline/job.h"

namespace ptq {

/// What data a run over calibration windows reads, and what it holds the loss against.
struct CalibrationData {
  CalibrationRequest request;
  std::string labels = "data";         ///< "data", or "sampled" from the model's own distribution
  int64_t shard = 1, shard_count = 1;  ///< the shard-th of shard_count parts of the windows
  /// The settings that decide the sums, without the shard.
  Json to_json() const;
};

/// Everything `ptq calibrate` is told.
struct CalibrateJob {
  std::filesystem::path model, out;
  CalibrationData data;
  std::vector<std::string> collect;      ///< statistics by name
  Json plugin_options = Json::object();  ///< by statistic: {"weighted-gram": {"groups": 4}}
  bool resume = false, overwrite = false;
  std::string command;  ///< as typed, for the manifest
};

/// What a run over calibration data took.
struct CalibrateReport {
  StoreManifest manifest;
  double mean_nll = -1;  ///< nats per target token; −1: no loss was taken
  double seconds = 0;
  int64_t bytes = 0;  ///< of the sums on disk
  int64_t peak_rss_bytes = 0;
  std::vector<std::string> warnings;

  Json to_json() const;
  std::string text() const;
};

/// Collects statistics of every linear of `job.model` into the store `job.out`, which appears when
/// it is complete; until then `<out>.ptq-partial` holds what a resumed run goes on with.
CalibrateReport calibrate(const CalibrateJob& job, ProgressListener& listener);

}  // namespace ptq
