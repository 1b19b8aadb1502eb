// Second moment of the inputs, diag(XᵀX)/N: what GPTQ weights an error by (arXiv 2210.17323), and
// equation 9 of arXiv 2601.11663.
#include <ATen/ATen.h>

#include "channel_sums.h"
#include "ptq/sensitivity/estimator.h"

namespace ptq::estimator {
namespace {

class Covariance : public SensitivityEstimator {
 public:
  std::vector<std::string> statistics() const override { return {"mean-square"}; }
  std::string unit() const override { return "mean x²"; }

  at::Tensor channel_scores(const SiteView& site) const override {
    return per_token(site, site.stats.sum("mean-square"));
  }
};

}  // namespace

std::unique_ptr<SensitivityEstimator> covariance(Options& /*options*/) {
  return std::make_unique<Covariance>();
}

}  // namespace ptq::estimator
