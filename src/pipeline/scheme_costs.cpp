#include "scheme_costs.h"

#include <cmath>

#include <ATen/ATen.h>

#include "ptq/core/error.h"
#include "ptq/sensitivity/rounding.h"

namespace ptq::detail {

SchemeCosts::SchemeCosts(const EstimatorSet::Entry& estimator, SchemeTrial& trial)
    : estimator_(estimator), trial_(trial) {
  for (const GradientProbe& probe : estimator.estimator->probes())
    if (dynamic_cast<const RoundingDirection*>(probe.direction.get()) != nullptr)
      throw UnsupportedError("estimator " + estimator.name +
                                 " takes gradients on the way to one scheme (" +
                                 probe.direction->key() + ") and says nothing of others",
                             "choose one that predicts any change; docs/sensitivity.md names them");
}

double SchemeCosts::one(const SiteView& site, const QuantScheme& scheme, at::Tensor& scores) {
  const SensitivityEstimator& estimator = *estimator_.estimator;
  const at::Tensor delta = trial_.change(site, scheme);
  std::optional<double> cost = estimator.predicted(site, delta);
  if (!cost)
    if (const at::Tensor parts = estimator.predicted_by_channel(site, delta); parts.defined())
      cost = parts.sum().item<double>();
  const bool predicted = cost.has_value();
  if (!cost) {
    if (!scores.defined()) scores = estimator.channel_scores(site).to(at::kDouble);
    cost = (scores * delta.to(at::kDouble).square().sum(0)).sum().item<double>();
  }
  if (predicted_.value_or(predicted) != predicted)
    throw UnsupportedError("estimator " + estimator_.name +
                               " predicts the change of the loss for some candidates and not for " +
                               (predicted ? "others" : scheme.name()),
                           "choose one that predicts any change");
  predicted_ = predicted;
  if (!std::isfinite(*cost))
    throw NumericalError("the cost of " + scheme.name() + " by " + estimator_.name + " is " +
                         std::to_string(*cost));
  return *cost;
}

std::vector<double> SchemeCosts::of(const SiteView& site, const std::vector<QuantScheme>& schemes) {
  std::vector<double> costs;
  at::Tensor scores;  // the same for all schemes
  for (const QuantScheme& scheme : schemes)
    costs.push_back(
        with_context("planning " + site.site.name, [&] { return one(site, scheme, scores); }));
  return costs;
}

}  // namespace ptq::detail
