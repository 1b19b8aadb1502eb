#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>

#include "estimator_set.h"
#include "ptq/pipeline/validate.h"

namespace ptq::detail {

/// Neighbouring columns of a linear's weight.
struct ColumnRange {
  int64_t first = 0, count = 0;
};

/// What one estimator says of some columns.
struct Prediction {
  double score = 0;                 ///< sum of the columns' raw scores
  double score_error = 0;           ///< sum of score times squared rounding error Σ_o Δ_oj²
  std::optional<double> predicted;  ///< nats per target token; nothing where there is no theory

  void add(const Prediction& other);
};

/// The columns of a linear that are measured on their own, and what all estimators say of them.
struct LinearPredictions {
  LinearSite site;
  std::vector<ColumnRange> channels, groups;
  /// By scheme, then estimator.
  using Table = std::vector<std::vector<Prediction>>;
  std::vector<Table> of_channels, of_groups;  ///< by place in `channels` and `groups`
  Table of_whole;
};

/// Chooses `count` of the places 0 … predictor.size() − 1, all if there are no more: the 1 % with
/// the highest predictor, at least one, and as many of each tenth of the others, drawn by `seed`
/// and `name`.  Ascending.
std::vector<int64_t> stratified_sample(const std::vector<double>& predictor, int64_t count,
                                       const std::string& name, uint64_t seed);

/// `count` of the places 0 … all − 1, drawn without replacement by `seed` and `name`; ascending.
std::vector<int64_t> random_places(int64_t all, int64_t count, const std::string& name,
                                   uint64_t seed);

/// Asks the estimators of a run, linear by linear, while their statistics are at hand.
class UnitPredictions {
 public:
  UnitPredictions(const ValidationRequest& request, const EstimatorSet& estimators);

  /// `scores`: float64 [in] of each estimator.  Chooses the linear's channels and groups by the
  /// first estimator's prediction for the first scheme, or its score where it predicts nothing.
  void add(const SiteView& site, const std::vector<at::Tensor>& scores);

  const std::vector<LinearPredictions>& linears() const& { return linears_; }
  std::vector<std::string> labels() const;

 private:
  struct Asked;
  std::vector<Prediction> about(const SiteView& site, const Asked& asked, ColumnRange range) const;
  void choose(LinearPredictions& linear, const Asked& asked) const;

  const ValidationRequest& request_;
  const EstimatorSet& estimators_;
  std::vector<LinearPredictions> linears_;
};

/// `delta` with all but `range` of its columns set to 0.
at::Tensor only_columns(const at::Tensor& delta, ColumnRange range);

}  // namespace ptq::detail
