#pragma once
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "ptq/calib/store.h"
#include "ptq/io/dataset.h"
#include "ptq/pipeline/job.h"

namespace ptq {

/// Disk that the states of one set of windows may take unless the user names the set's size.
constexpr int64_t kSetStateBytes = int64_t{8} << 30;

/// What data a run over calibration windows reads, and what it holds the loss against.
struct CalibrationData {
  CalibrationRequest request;
  std::string labels = "data";         ///< "data", or "sampled" from the model's own distribution
  int64_t shard = 1, shard_count = 1;  ///< the shard-th of shard_count parts of the windows
  /// Windows that go through the model together and whose states between the blocks lie on disk
  /// together; 0: as many as kSetStateBytes allows.
  int64_t sequences_per_set = 0;
  /// The settings that decide the sums, up to rounding, without the shard.
  Json to_json() const;
};

/// Everything `ptq calibrate` is told.
struct CalibrateJob {
  std::filesystem::path model, out;
  CalibrationData data;
  std::vector<std::string> collect;      ///< statistics by name
  Json plugin_options = Json::object();  ///< by statistic: {"weighted-gram": {"groups": 4}}
  bool resume = false, overwrite = false;
  std::string device = "cpu";  ///< where the model runs: cpu or cuda
  std::string command;         ///< as typed, for the manifest
};

/// What collecting statistics will take, known before the work starts.
struct CollectionPlan {
  /// What one statistic takes.
  struct Row {
    std::string statistic;
    int64_t resident_bytes = 0;  ///< its sums of the largest block: all that exist at a time
    int64_t stored_bytes = 0;    ///< its sums of all blocks, on disk
  };
  std::vector<Row> statistics;  ///< in the order of their names
  int64_t sequences = 0;        ///< windows in all
  int64_t sequences_per_set = 0;
  int64_t state_bytes = 0;  ///< states of one set on disk at a time; 0 in a sweep forward alone

  /// The most disk that is needed at a time.
  int64_t disk_bytes() const;
  /// All of the above, bytes as numbers.
  Json to_json() const;
  /// A line a statistic, and one for the states.
  std::vector<std::string> lines() const;
};

/// What a run over calibration data took.
struct CalibrateReport {
  CollectionPlan plan;
  StoreManifest manifest;
  double mean_nll = -1;  ///< nats per target token; −1: no loss was taken
  /// (ΣD)²/ΣD² with D_t = ‖g_t‖², by linear; empty unless "gradient-energy" was collected.
  std::map<std::string, double> effective_tokens;
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
