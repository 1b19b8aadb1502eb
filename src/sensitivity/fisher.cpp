// The diagonal of the Fisher matrix, F_oj = Σ (∂ℓ/∂w_oj)², over sequences (SqueezeLLM, arXiv
// 2306.07629) or over tokens, of which the latter leaves out what tokens of a sequence
// do to each other.  With labels from the data it is the empirical one, with labels sampled from
// the model the true one: that is the sweep's choice.
#include <ATen/ATen.h>

#include "channel_sums.h"
#include "ptq/sensitivity/estimator.h"

namespace ptq::estimator {
namespace {

class Fisher : public SensitivityEstimator {
 public:
  explicit Fisher(std::string statistic) : statistic_(std::move(statistic)) {}

  std::vector<std::string> statistics() const override { return {statistic_}; }
  std::string unit() const override { return "(nats per unit of weight)² per token"; }

  at::Tensor channel_scores(const SiteView& site) const override {
    const at::Tensor& fisher = site.stats.sum(statistic_);
    return per_token(site, fisher.sum(0, /*keepdim=*/false, at::kDouble));
  }
  at::Tensor weight_scores(const SiteView& site) const override {
    return per_token(site, site.stats.sum(statistic_));
  }

  /// ½ Σ_o Δ_oj² F_oj: the Fisher matrix for the Hessian, its other elements left out.  SqueezeLLM
  /// squares the gradient of a sequence's mean loss and divides by sequences, which ranks alike but
  /// would predict a change too small by the length of a sequence.
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

std::unique_ptr<SensitivityEstimator> fisher(Options& options) {
  return std::make_unique<Fisher>("fisher-" + options.get_choice("per", "sequence",
                                                                 {"sequence", "token"},
                                                                 "whose gradients are squared"));
}

}  // namespace ptq::estimator
