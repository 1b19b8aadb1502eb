#pragma once
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "calibration_session.h"
#include "estimator_set.h"
#include "ptq/calib/store.h"

namespace ptq::detail {

/// What the estimators of a run read: a store that is there, or what is collected for them.
class EstimatorSources {
 public:
  struct Request {
    const EstimatorSet& set;
    const CalibrationSession& session;
    const Json& plugin_options;   ///< by estimator's label or statistic
    std::filesystem::path stats;  ///< a store to read; empty: statistics are collected
  };
  /// What collecting found and took.
  struct Found {
    CollectionPlan plan;  ///< empty where a store was read
    DataCounts counts;
    std::map<std::string, double> effective_tokens;  ///< as in CalibrateReport
    double mean_nll = -1;                            ///< nats per target token; −1: not taken
    std::map<std::string, std::vector<double>> probe_nll;  ///< the same by probe, at its nodes
    int64_t stats_bytes = 0;
    Json store;  ///< manifest of the store that is read; null where there is none
  };

  /// Opens the store, if there is one.  Throws ConfigError if there are neither data nor a store
  /// that has what the estimators read, or if the store is of another model.  The referenced
  /// objects must outlive this one.
  explicit EstimatorSources(const Request& request);

  /// Whether `collect` has anything to do.
  bool collects() const;
  /// Collects what is read into `directory`, which must stay; goes on with what is there of an
  /// interrupted run.  The disk is to have space for it beside what lies in the folder of
  /// `directory`.
  void collect(const std::filesystem::path& directory, ProgressListener& listener);

  /// What the estimators read of `site`.
  SiteStats site_stats(const LinearSite& site);
  const Found& found() const& { return found_; }

 private:
  void check_data() const;
  void open_store();
  StatisticSet collected() const;
  void collect_probe(const GradientProbe& probe, const std::filesystem::path& directory,
                     ProgressListener& listener);

  Request request_;
  std::optional<StatsStore> statistics_;
  std::map<std::string, StatsStore> probes_;  // by probe name
  Found found_;
};

}  // namespace ptq::detail
