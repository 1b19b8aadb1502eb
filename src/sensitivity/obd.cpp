// Optimal Brain Damage (LeCun, Denker, Solla, 1989): a weight's saliency is ½ h w², the
// change of the loss when it is deleted, with the diagonal of the Fisher matrix for that of the
// Hessian.
#include <ATen/ATen.h>

#include "channel_sums.h"
#include "diagonal_fisher.h"

namespace ptq::estimator {
namespace {

class OptimalBrainDamage : public DiagonalFisher {
 public:
  using DiagonalFisher::DiagonalFisher;

  std::string unit() const override { return "nats per target token if set to 0"; }

  at::Tensor channel_scores(const SiteView& site) const override {
    return predicted_by_channel(site, site.weight);
  }
  at::Tensor weight_scores(const SiteView& site) const override {
    return per_target(site, diagonal(site)) * site.weight.to(at::kDouble).square() / 2;
  }
};

}  // namespace

std::unique_ptr<SensitivityEstimator> obd(Options& options) {
  return std::make_unique<OptimalBrainDamage>(options);
}

}  // namespace ptq::estimator
