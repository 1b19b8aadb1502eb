#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "ptq/formats/format.h"
#include "ptq/pipeline/calibrate.h"

namespace ptq {

/// Everything `ptq plan` is told.
struct MixedPrecisionJob {
  std::filesystem::path model;
  std::filesystem::path out;            ///< the file to write
  std::string estimator;                ///< "name" or "label=name"
  std::vector<QuantScheme> candidates;  ///< what a linear may get
  /// The method whose errors are weighed, tried on every linear alone; empty: rounding to nearest.
  std::string trial;
  // One of the two budgets; 0: the other one.
  double target_bits = 0;    ///< a weight of the quantized linears, scales and zeros included
  int64_t target_bytes = 0;  ///< of all tensors of the output
  std::string format = "compressed-tensors";
  std::string engine;             ///< that must load the output; empty: none in particular
  bool untie = false;             ///< linears that read one input may differ
  std::vector<std::string> skip;  ///< as of PlanRequest
  std::filesystem::path stats;    ///< a store to read; empty: statistics are collected
  CalibrationData data;
  Json plugin_options = Json::object();  ///< by estimator's label, statistic or trial method
  bool resume = false, overwrite = false;
  std::string command;  ///< as typed, for the plan

  /// Throws ConfigError unless there is one budget and candidates, each once.
  void check() const;
};

/// What `ptq plan` decided.  A cost is a predicted change of the mean NLL in nats per target token,
/// as the estimator states it, of either sign, or where `predicted` is false Σ_j score_j Σ_o Δ_oj²,
/// which only ranks.
struct MixedPrecisionPlan {
  /// One linear under one scheme.
  struct Cost {
    QuantScheme scheme;
    int64_t bytes = 0;  ///< on disk, scales and zeros included
    double cost = 0;
  };
  struct Row {
    LinearSite site;
    std::string kind;  ///< its name inside the block
    int group = 0;     ///< linears of one group have one scheme
    Cost chosen;
    std::vector<Cost> costs;  ///< of all candidates that it could have got
  };
  /// A candidate that some linears cannot have.
  struct Exclusion {
    QuantScheme scheme;
    std::string reason;
    std::vector<std::string> linears;
  };
  /// The model under some schemes.
  struct Total {
    double bits_per_weight = 0;  ///< of the quantized linears
    int64_t linear_bytes = 0, output_bytes = 0;
    double cost = 0;
  };
  /// All linears under one candidate.
  struct Uniform {
    QuantScheme scheme;
    Total total;
  };

  std::vector<Row> rows;
  std::vector<std::string> left;  ///< linears that stay as they are
  std::vector<Exclusion> excluded;
  std::vector<Uniform> uniform;  ///< those within the budget
  Total total;
  bool predicted = false;       ///< whether costs have a unit
  int64_t negative = 0;         ///< predictions below 0 among all costs
  double price = 0, bound = 0;  ///< as of Allocation, over magnitudes of costs
  bool exact = false;
  Json settings;     ///< of the run: estimator, candidates, budget, format
  Json inputs;       ///< digests of what was read
  Json calibration;  ///< CalibrationReport, or the store's manifest
  std::vector<EngineSupport> engines;
  std::string command;
  std::vector<std::string> warnings;

  /// The content of plan.json: the same run gives the same.
  Json to_json() const;
  /// A table by kind of linear, and the uniform alternatives.
  std::string text() const;
};

/// Gives every linear of `job.model` one of the candidates, so that all fit into the budget at the
/// least cost, and writes the plan.  Throws ConfigError for a budget that no choice fits, naming
/// the least and the largest size that there is; UnsupportedError where a linear has no candidate
/// left, for an estimator that says something of one scheme only, and for an engine that does not
/// load such a plan; and as its parts do.
MixedPrecisionPlan plan_mixed_precision(const MixedPrecisionJob& job, ProgressListener& listener);

}  // namespace ptq
