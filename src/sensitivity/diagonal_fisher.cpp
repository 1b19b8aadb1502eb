#include "diagonal_fisher.h"

#include <ATen/ATen.h>

#include "channel_sums.h"

namespace ptq::estimator {

DiagonalFisher::DiagonalFisher(Options& options)
    : statistic_("fisher-" + options.get_choice("per", "sequence", {"sequence", "token"},
                                                "whose gradients are squared")) {}

// SqueezeLLM squares the gradient of a sequence's mean loss and divides by sequences, which ranks
// alike but would predict a change too small by the length of a sequence.
at::Tensor DiagonalFisher::predicted_by_channel(const SiteView& site,
                                                const at::Tensor& delta) const {
  require_shape(site, delta);
  return per_target(site, diagonal_quadratic(diagonal(site), delta)) / 2;
}

std::optional<double> DiagonalFisher::predicted(const SiteView& site,
                                                const at::Tensor& delta) const {
  return predicted_by_channel(site, delta).sum().item<double>();
}

}  // namespace ptq::estimator
