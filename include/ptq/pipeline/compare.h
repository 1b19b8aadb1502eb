#pragma once
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ptq/eval/evaluate.h"
#include "ptq/pipeline/job.h"

namespace ptq {

/// Everything `ptq compare` is told.
struct CompareJob {
  std::filesystem::path model;
  /// Quantizers and methods for whole models by name; "label=name" gives one a label of its own
  /// (letters, digits, - and _), so that it can be there twice with other options.
  std::vector<std::string> methods;
  std::vector<QuantScheme> schemes;
  Json plugin_options = Json::object();  ///< by a method's label
  std::string format = "compressed-tensors";
  std::vector<std::string> skip, overrides;  ///< as in PlanRequest, of every run
  std::string odd_shape = "error";           ///< as PlanRequest::odd_shape
  CalibrationRequest calibration;  ///< one selection, which every run reads that reads any
  /// A store for methods that read statistics with gradients, beside `calibration` or in its place;
  /// empty: none.
  std::filesystem::path stats;
  WindowPlan windows;               ///< what every result is evaluated on
  std::filesystem::path keep;       ///< where the checkpoints stay; empty: none does
  int64_t memory_limit_bytes = -1;  ///< as QuantizeJob
  int threads = 1;
  std::string device = "cpu", command;
};

/// What one method made of the model under one scheme.
struct CompareRow {
  std::string label, method;
  Json options = Json::object();  ///< those given
  QuantScheme scheme;
  std::string failure;  ///< why there are no figures; empty: there are
  int exit_code = 0;    ///< what such a failure ends `ptq quantize` with
  /// As QuantizeReport has them: of the quantized linears, and of the single weights beside them.
  double bits_per_weight = 0, sparse_bits_per_weight = 0;
  /// Of every linear, Σ ‖(Ŵ−W) x‖² / Σ ‖W x‖² over the calibration tokens, x the input that the
  /// quantized part of the model gives; empty: not measured, as the method is one for whole models
  /// or reads no calibration data.
  std::vector<std::pair<std::string, double>> output_errors;
  int fallbacks = 0;
  int64_t output_bytes = 0;
  std::optional<double> quantize_seconds;  ///< in the method alone; nothing: it made several runs
  Json method_seconds = nullptr;           ///< as QuantizeReport
  double run_seconds = 0;  ///< of the whole run, reading, measuring and writing included
  EvalResult evaluation;   ///< against the full-precision model

  double total_bits_per_weight() const { return bits_per_weight + sparse_bits_per_weight; }
  /// The mean of `output_errors`, if there are any.
  std::optional<double> mean_output_error() const;
  /// All of it; a failure in place of the figures where there are none.
  Json to_json() const;
};

/// What `ptq compare` found.
struct CompareReport {
  std::vector<CompareRow> rows;  ///< every scheme of the first method, then of the next
  std::optional<PerplexityResult> reference;  ///< the full-precision model; nothing if all failed
  Json calibration;                           ///< CalibrationReport
  std::string windows_sha256;                 ///< WindowPlan::sha256
  /// The model, format, rules for linears, policy for odd shapes, store and threads; the command as
  /// typed.
  Json settings;
  double seconds = 0;

  /// Rows without figures.
  size_t failures() const;
  /// All of it, with the version of this program.
  Json to_json() const;
  /// A table of the rows, and why some have no figures.
  std::string text() const;
  /// A table of every linear's output error, a column a row that has any.
  std::string linears_text() const;
};

/// Quantizes `job.model` by every method under every scheme and evaluates each against the model,
/// one checkpoint on disk at a time unless they are kept.  A run that fails is a row that says why.
/// Throws ConfigError before any work for an unknown method, format, option or rule, for a name
/// given twice, without a method, scheme or window, for a store that lacks what a method reads or
/// that none does, and for a `keep` that is not empty; UnsupportedError
/// for a quantized model; ResourceError without a place for the checkpoints; InterruptedError.
CompareReport compare_methods(const CompareJob& job, ProgressListener& listener);

}  // namespace ptq
