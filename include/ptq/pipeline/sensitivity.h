#pragma once
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ptq/pipeline/calibrate.h"
#include "ptq/pipeline/validate.h"
#include "ptq/sensitivity/summary.h"

namespace ptq {

/// Everything `ptq sensitivity` is told.
struct SensitivityJob {
  std::filesystem::path model, out;
  /// Estimators by name; "label=name" gives one a label of its own, so that it can be there twice
  /// with other options.
  std::vector<std::string> estimators;
  std::filesystem::path stats;  ///< a store to read; empty: statistics are collected
  CalibrationData data;
  Json plugin_options = Json::object();  ///< by estimator's label or statistic
  bool per_weight = false;               ///< [out, in] scores too, where an estimator has them
  int64_t top = 0;               ///< channels to name in the report, the highest of every linear
  ValidationRequest validation;  ///< whether and how to measure what the estimators say
  bool resume = false, overwrite = false;
  std::string command;  ///< as typed, for the summary
};

/// One linear's scores by one estimator, in a few figures.
struct SiteScores {
  std::string site;
  int64_t channels = 0;
  ScoreSummary summary;
  std::vector<std::pair<int64_t, double>> top;  ///< channel and score, the highest first
};

/// What `ptq sensitivity` found.
struct SensitivityReport {
  struct Estimator {
    std::string label, name, unit;
    Json options;
    double seconds = 0;  ///< for scoring, without the shared sweep
    std::vector<SiteScores> sites;
    std::vector<double> probe_nll;  ///< mean NLL at the probe's nodes, nats per target token
  };
  std::vector<Estimator> estimators;
  CollectionPlan plan;  ///< of what was collected; empty where a store was read
  DataCounts counts;
  std::map<std::string, double> effective_tokens;  ///< as in CalibrateReport
  Json identity, calibration;
  double mean_nll = -1;  ///< nats per target token at the model's own weights; −1: not taken
  double collect_seconds = 0, seconds = 0;
  int64_t stats_bytes = 0, peak_rss_bytes = 0;
  std::vector<std::string> warnings;
  std::optional<ValidationReport> validation;

  Json to_json() const;
  /// Linears ranked by each estimator's sum.
  std::string text() const;
};

/// Scores the input channels of every linear and writes scores.safetensors, scores.csv and
/// summary.json into `job.out`, which appears when it is complete.
SensitivityReport score_sensitivity(const SensitivityJob& job, ProgressListener& listener);

}  // namespace ptq
