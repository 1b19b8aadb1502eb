#pragma once
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "heldout.h"
#include "measurements.h"
#include "ptq/model/causal_lm.h"
#include "unit_predictions.h"

namespace ptq::detail {

/// In the directory of a run: what its validation has measured so far, for a run that resumes it.
constexpr const char* kValidationWork = "validation";

/// `ptq sensitivity --validate`: hears what the estimators say while they score, then measures.
class Validation {
 public:
  /// Reads the held-out windows; see load_heldout for `calibration` and what it throws.  All
  /// references must outlive this.
  Validation(const ValidationRequest& request, const EstimatorSet& estimators,
             const std::vector<std::filesystem::path>& calibration,
             const std::filesystem::path& model, const ModelConfig& config);

  const std::vector<std::string>& warnings() const& { return heldout_.warnings; }
  /// What decides the figures.
  Json identity() const;

  /// Takes a linear and the scores, float64 [in], that each estimator gave it.
  void observe(const SiteView& site, const std::vector<at::Tensor>& scores);

  /// Measures, and writes validation.json and validation.csv into `directory`; what is measured
  /// there already is not measured again.
  ValidationReport run(const CausalLM& model, const std::filesystem::path& directory,
                       ProgressListener& listener);

 private:
  const ValidationRequest& request_;
  HeldoutWindows heldout_;
  UnitPredictions predictions_;
};

/// Compares what was measured with what each of the estimators `labels` said.
std::vector<ValidationSet> compare_units(const ValidationRequest& request,
                                         const std::vector<Unit>& units,
                                         const Measurements& measured,
                                         const std::vector<std::string>& labels,
                                         ProgressListener& listener);

/// The subsets' joint effects beside the sums of single ones.
std::vector<ValidationSubset> compare_subsets(const MeasuringTask& task,
                                              const Measurements& measured,
                                              const std::vector<std::string>& labels);

/// A line for every unit, scheme and scale: what was measured, and each estimator's readings.
std::string pairs_csv(const ValidationRequest& request, const std::vector<Unit>& units,
                      const Measurements& measured, const std::vector<std::string>& labels);

}  // namespace ptq::detail
