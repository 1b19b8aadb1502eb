#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "ptq/sensitivity/estimator.h"

namespace ptq::detail {

/// The estimators of a run and what they read together.
struct EstimatorSet {
  struct Entry {
    std::string label, name;
    Json options;  ///< defaults filled in
    std::unique_ptr<SensitivityEstimator> estimator;
  };
  std::vector<Entry> entries;
  std::vector<std::string> statistics;          ///< sorted, each once
  std::map<std::string, GradientProbe> probes;  ///< by name: equal ones are collected once

  /// From "name" or "label=name"; `further`: statistics that the run reads besides.  Throws
  /// ConfigError for none, an unknown name, a label given twice, a bad option, and options of
  /// something that is not there.
  EstimatorSet(const std::vector<std::string>& wanted, const Json& options,
               const std::vector<std::string>& further = {});

  /// The options that `options` has for the statistics; an estimator's label goes before the name
  /// of a statistic.
  Json statistic_options(const Json& options) const;
};

}  // namespace ptq::detail
