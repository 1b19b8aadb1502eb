// Optimal Brain Damage (LeCun, Denker, Solla, 1989): a weight's saliency is ½ h w², the
// change of the loss when it is deleted, with the diagonal of the Fisher matrix for that of the
// Hessian.
#include <ATen/ATen.h>

#include "channel_sums.h"
#include "ptq/sensitivity/estimator.h"

namespace ptq::estimator {
namespace {

class OptimalBrainDamage : public SensitivityEstimator {
 public:
  explicit OptimalBrainDamage(std::string statistic) : statistic_(std::move(statistic)) {}

  std::vector<std::string> statistics() const override { return {statistic_}; }
  std::string unit() const override { return "nats per target token if set to 0"; }

  at::Tensor channel_scores(const SiteView& site) const override {
    return predicted_by_channel(site, site.weight);
  }
  at::Tensor weight_scores(const SiteView& site) const override {
    return per_target(site, site.stats.sum(statistic_)) * site.weight.to(at::kDouble).square() / 2;
  }

  /// The same form for any other change than the deletion.
  at::Tensor predicted_by_channel(const SiteView& site, const at::Tensor& delta) const override {
    require_shape(site, delta);
    return per_target(site, diagonal_quadratic(site.stats.sum(statistic_), delta)) / 2;
  }
  std::optional<double> predicted(const SiteView& site, const at::Tensor& delta) const override {
    return predicted_by_channel(site, delta).sum().item<double>();
  }

 private:
  std::string statistic_;
};

}  // namespace

std::unique_ptr<SensitivityEstimator> obd(Options& options) {
  return std::make_unique<OptimalBrainDamage>(
      "fisher-" +
      options.get_choice("per", "sequence", {"sequence", "token"}, "whose gradients are squared"));
}

}  // namespace ptq::estimator
