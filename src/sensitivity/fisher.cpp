// The diagonal of the Fisher matrix, F_oj = Σ (∂ℓ/∂w_oj)², over sequences (SqueezeLLM, arXiv
// 2306.07629) or over tokens, of which the latter leaves out what tokens of a sequence
// do to each other.  With labels from the data it is the empirical one, with labels sampled from
// the model the true one: that is the sweep's choice.
#include <ATen/ATen.h>

#include "channel_sums.h"
#include "diagonal_fisher.h"

namespace ptq::estimator {
namespace {

class Fisher : public DiagonalFisher {
 public:
  using DiagonalFisher::DiagonalFisher;

  std::string unit() const override { return "(nats per unit of weight)² per token"; }

  at::Tensor channel_scores(const SiteView& site) const override {
    return per_token(site, diagonal(site).sum(0, /*keepdim=*/false, at::kDouble));
  }
  at::Tensor weight_scores(const SiteView& site) const override {
    return per_token(site, diagonal(site));
  }
};

}  // namespace

std::unique_ptr<SensitivityEstimator> fisher(Options& options) {
  return std::make_unique<Fisher>(options);
}

}  // namespace ptq::estimator
