#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "calibration_session.h"
#include "packed_sizes.h"
#include "ptq/pipeline/mixed_precision.h"
#include "ptq/sensitivity/allocation.h"

namespace ptq::detail {

/// Linears that get one scheme, and what each scheme takes and costs.
class PlanItem {
 public:
  /// One of its linears.
  struct Member {
    LinearSite site;
    std::string kind;
    std::vector<int64_t> sizes, bytes;  ///< by scheme: in units of the budget, and on disk
    std::vector<double> costs;          ///< by scheme, once known
  };

  explicit PlanItem(std::vector<QuantScheme> schemes) : schemes_(std::move(schemes)) {}

  /// Those that all its linears can have.
  const std::vector<QuantScheme>& schemes() const& { return schemes_; }
  const std::vector<Member>& members() const& { return members_; }
  void join(Member member) { members_.push_back(std::move(member)); }
  /// The costs of the member `site`, by scheme.
  void add(const LinearSite& site, std::vector<double> costs);
  /// By scheme; costs count by their magnitude, and as 0 until they are known.
  std::vector<StorageOption> options() const;

 private:
  std::vector<QuantScheme> schemes_;
  std::vector<Member> members_;
};

/// The linears of a model in the items of an allocation.
class PlanItems {
 public:
  /// Throws ConfigError for a regex that is none or an engine that is not known, UnsupportedError
  /// for a model that is quantized already, where a linear has no candidate, and where the
  /// format does not hold several schemes or `job.engine` does not load them or untied linears.
  PlanItems(const MixedPrecisionJob& job, const CalibrationSession& session);

  const std::vector<PlanItem>& items() const& { return items_; }
  /// The item with the linear `name`; null where that is left as it is.
  PlanItem* item_of(const std::string& name);
  /// What the sizes of the items may add up to, in bits or bytes.
  int64_t budget() const { return budget_; }
  /// Throws ConfigError, with the least and the largest size that there is, unless the smallest
  /// schemes fit into the budget.
  void require_budget() const;

  const std::vector<std::string>& left() const& { return left_; }
  const std::vector<std::string>& warnings() const& { return warnings_; }
  const std::vector<MixedPrecisionPlan::Exclusion>& excluded() const& { return excluded_; }
  /// `choice`: the scheme's place by item.
  MixedPrecisionPlan::Total total(const std::vector<size_t>& choice) const;
  std::vector<MixedPrecisionPlan::Row> rows(const std::vector<size_t>& choice) const;
  /// The candidates that all linears can have and that fit into the budget.
  std::vector<MixedPrecisionPlan::Uniform> uniform() const;
  /// Throws UnsupportedError where the format does not hold the chosen rows together, or
  /// `job.engine` does not load them.
  void require_loads(const std::vector<MixedPrecisionPlan::Row>& rows) const;
  /// What engines say of the chosen rows.
  std::vector<EngineSupport> engines(const std::vector<MixedPrecisionPlan::Row>& rows) const;

 private:
  std::optional<std::string> refusal(const std::vector<LinearSite>& together,
                                     const LinearSite& site, const QuantScheme& scheme) const;
  void add_item(const std::vector<LinearSite>& together);
  void require_candidates(const std::vector<LinearSite>& together,
                          const std::vector<QuantScheme>& schemes) const;
  void check_engine() const;
  void require_mixed() const;
  void require_loads(QuantPlan plan) const;
  int64_t size(const std::vector<size_t>& choice) const;
  std::string described(const MixedPrecisionPlan::Total& total) const;

  const MixedPrecisionJob& job_;
  const CalibrationSession& session_;
  std::unique_ptr<CheckpointFormat> format_;
  PackedSizes packed_sizes_;
  std::vector<PlanItem> items_;
  std::map<std::string, size_t> item_of_;  // by linear
  std::vector<std::string> left_, warnings_;
  std::vector<MixedPrecisionPlan::Exclusion> excluded_;
  double weights_ = 0;       // of the linears in items
  int64_t other_bytes_ = 0;  // of the tensors that are copied
  int64_t budget_ = 0;
};

}  // namespace ptq::detail
