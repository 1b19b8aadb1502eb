// Mean magnitude of the inputs: what AWQ ranks channels by (arXiv 2306.00978).
#include <ATen/ATen.h>

#include "channel_sums.h"
#include "ptq/sensitivity/estimator.h"

namespace ptq::estimator {
namespace {

class ActivationMagnitude : public SensitivityEstimator {
 public:
  std::vector<std::string> statistics() const override { return {"mean-magnitude"}; }
  std::string unit() const override { return "mean |x|"; }
  int degree() const override { return 1; }

  at::Tensor channel_scores(const SiteView& site) const override {
    return per_token(site, site.stats.sum("mean-magnitude"));
  }
};

}  // namespace

std::unique_ptr<SensitivityEstimator> activation_magnitude(Options& /*options*/) {
  return std::make_unique<ActivationMagnitude>();
}

}  // namespace ptq::estimator
