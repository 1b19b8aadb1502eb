#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ptq/io/dataset.h"
#include "ptq/quant/scheme.h"
#include "ptq/sensitivity/agreement.h"

namespace ptq {

/// What `ptq sensitivity --validate` measures; no unit kind: nothing.
struct ValidationRequest {
  /// Text the calibration has not seen: `files` holds it, `samples` and `seqlen` its windows.
  CalibrationRequest heldout;
  std::vector<QuantScheme> schemes;    ///< all of one group size
  std::vector<double> scales = {1.0};  ///< κ of the perturbations κ·Δ, Δ the rounding error
  std::vector<std::string> units;      ///< of "channel", "group", "linear", "block"
  int64_t sample = 64;                 ///< channels, and groups, measured a linear
  int64_t subsets = 4;                 ///< random subsets of linears of each size
  uint64_t seed = 0;                   ///< of everything drawn
  // What is kept in memory; above it boundary states go to disk, logits are recomputed, and blocks
  // are loaded again.
  int64_t state_bytes = int64_t{1} << 30;
  int64_t logit_bytes = int64_t{1} << 30;
  int64_t block_bytes = int64_t{2} << 30;

  bool wanted() const { return !units.empty(); }
  /// Throws ConfigError for a value out of range, an unknown unit or something named twice.
  void check() const;
  /// The settings that decide the figures.
  Json to_json() const;
};

/// What perturbing some columns did.
struct MeasuredEffect {
  double kl = 0;   ///< mean over target tokens of KL(unperturbed ‖ perturbed), nats
  double nll = 0;  ///< change of the mean NLL, nats per target token
  std::vector<double> window_kl = {};  ///< the KL of each held-out window; their mean is `kl`
};

/// How well one reading of one estimator says what was measured.
struct ValidationRow {
  std::string estimator;
  /// "score": raw scores summed over the unit; "score x error": each channel's times its squared
  /// rounding error Σ_o Δ_oj²; both rank only.  "predicted": nats per target token.
  std::string basis;
  Agreement pooled;                 ///< with the KL; fits of logs are meant for "predicted"
  AgreementInterval interval;       ///< of `pooled`
  std::optional<Agreement> within;  ///< means over linears, where they have several units
  std::optional<AgreementInterval> within_interval;
  double nll_spearman = 0;  ///< with the NLL change, which has a first-order part
};

/// The units of one kind under one perturbation.
struct ValidationSet {
  std::string kind, scheme;
  double scale = 1;  ///< κ; effects are divided by κ² before they are compared
  int64_t units = 0, below_noise = 0;
  double median_kl = 0, max_kl = 0;  ///< divided by κ²
  /// Of the units' κ²-scaled KL divided by that at the first κ: 5 %, 50 % and 95 %.  1 where the
  /// effect is quadratic; empty for the first κ.
  std::vector<double> scale_ratios;
  std::vector<ValidationRow> rows;
};

/// One random subset of linears, perturbed together.
struct ValidationSubset {
  std::string scheme;
  std::vector<std::string> linears;
  MeasuredEffect joint, sum_of_single;
  std::map<std::string, double> predicted;  ///< by estimator: the sum of its linears' predictions
};

/// What `ptq sensitivity --validate` found.
struct ValidationReport {
  std::vector<ValidationSet> sets;
  std::vector<ValidationSubset> subsets;
  Json settings;         ///< ValidationRequest::to_json
  Json heldout;          ///< CalibrationReport of the held-out windows, and their overlap
  double mean_nll = 0;   ///< of the unperturbed model on them, nats per target token
  int64_t targets = 0;   ///< tokens the figures are means over
  double noise_kl = 0;   ///< largest |KL| that rounding alone makes
  int64_t measured = 0;  ///< suffix runs, all
  double seconds = 0;
  std::vector<std::string> warnings;

  Json to_json() const;
  /// A table for every set.
  std::string text() const;
};

}  // namespace ptq
