// A control that knows the rounding error and nothing of the data: Σ_o (w̃_oj − w_oj)².
#include <ATen/ATen.h>

#include "channel_sums.h"
#include "ptq/sensitivity/estimator.h"
#include "ptq/sensitivity/rounding.h"
#include "scheme_options.h"

namespace ptq::estimator {
namespace {

class WeightError : public SensitivityEstimator {
 public:
  explicit WeightError(const QuantScheme& scheme) : rounding_(scheme) {}

  std::string unit() const override { return "squared weight error"; }

  at::Tensor channel_scores(const SiteView& site) const override {
    return squared_columns(rounding_.of(site.site, site.weight));
  }
  at::Tensor weight_scores(const SiteView& site) const override {
    return rounding_.of(site.site, site.weight).to(at::kDouble).square();
  }

 private:
  RoundingDirection rounding_;
};

}  // namespace

std::unique_ptr<SensitivityEstimator> weight_error(Options& options) {
  return std::make_unique<WeightError>(scheme_option(options));
}

}  // namespace ptq::estimator
