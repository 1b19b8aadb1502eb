#pragma once
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "ptq/quant/scheme.h"

namespace ptq::quantizer {

/// A way to scale the input channels of a stage.
struct ScaleCandidate {
  at::Tensor scale;  ///< float32 [factors], √(largest · smallest) is 1
  std::string form;  ///< "none", "plain" or "weight-aware"
  double ratio = 0;
};

/// How much of its group's range a weight takes, by input channel: the mean over the rows of
/// `weight`, float32 [out, in], of |w| divided by the group's largest; float64 [in].
at::Tensor range_share(const at::Tensor& weight, const QuantScheme& scheme);

/// Scales made of `saliency`, how large each channel's input is, and `share`, range_share, both
/// float64 [factors], for the ratios r = 0.05, 0.1, …, 1: the plain a^r of AWQ (Lin et al.,
/// arXiv:2306.00978), the weight-aware a^r / w^(1−r), which also evens out the weights, for r = 0
/// too, and first no scale.  A channel without input counts as a mean one.
std::vector<ScaleCandidate> scale_candidates(const at::Tensor& saliency, const at::Tensor& share);

}  // namespace ptq::quantizer
