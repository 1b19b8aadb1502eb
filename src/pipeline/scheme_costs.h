#pragma once
#include <optional>
#include <vector>

#include "estimator_set.h"
#include "scheme_trial.h"

namespace ptq::detail {

/// What the error of a scheme costs a linear by one estimator: its prediction for the
/// whole change, the sum of those by channel where it makes none, else score times squared error.
class SchemeCosts {
 public:
  /// Throws UnsupportedError for an estimator whose gradients are taken along the rounding to one
  /// scheme, since it says nothing of others.  Both must outlive this object.
  SchemeCosts(const EstimatorSet::Entry& estimator, SchemeTrial& trial);

  /// By place in `schemes`.  Throws NumericalError for a cost that is not finite, UnsupportedError
  /// where the estimator predicts some and not others, which cannot be compared.
  std::vector<double> of(const SiteView& site, const std::vector<QuantScheme>& schemes);

  /// Whether the costs so far are predictions, in nats per target token.
  bool predicted() const { return predicted_.value_or(false); }

 private:
  double one(const SiteView& site, const QuantScheme& scheme, at::Tensor& scores);

  const EstimatorSet::Entry& estimator_;
  SchemeTrial& trial_;
  std::optional<bool> predicted_;
};

}  // namespace ptq::detail
