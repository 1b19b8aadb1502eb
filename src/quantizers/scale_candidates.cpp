#include "scale_candidates.h"

#include <ATen/ATen.h>

namespace ptq::quantizer {
namespace {

constexpr int kRatios = 20;
constexpr double kSmallest = 1e-4;  ///< of the mean: what no channel is taken to be below

/// `values` as parts of their mean; 0 counts as the mean.
at::Tensor relative(const at::Tensor& values) {
  const at::Tensor known = values.gt(0);
  const auto count = known.sum().item<int64_t>();
  if (count == 0) return at::ones_like(values);
  const double mean = values.sum().item<double>() / static_cast<double>(count);
  return at::where(known, (values / mean).clamp_min(kSmallest), at::ones_like(values));
}

/// Centred in the logarithm, so that products of scales and weights stay where they were.
at::Tensor centred(const at::Tensor& scale) {
  return (scale / (scale.max() * scale.min()).sqrt()).to(at::kFloat);
}

}  // namespace

at::Tensor range_share(const at::Tensor& weight, const QuantScheme& scheme) {
  const int64_t out = weight.size(0), in = weight.size(1), groups = scheme.groups(in);
  const at::Tensor magnitude = weight.abs().reshape({out, groups, in / groups});
  const at::Tensor range = magnitude.amax(-1, true).clamp_min(1e-12);
  return (magnitude / range).reshape({out, in}).mean(0, false, at::kDouble);
}

std::vector<ScaleCandidate> scale_candidates(const at::Tensor& saliency, const at::Tensor& share) {
  const at::Tensor a = relative(saliency), w = relative(share);
  std::vector<ScaleCandidate> candidates{{at::ones({a.size(0)}, at::kFloat), "none", 0}};
  for (int i = 0; i <= kRatios; ++i) {
    const double ratio = static_cast<double>(i) / kRatios;
    if (i > 0) candidates.push_back({centred(a.pow(ratio)), "plain", ratio});
    if (i < kRatios)  // there the forms agree
      candidates.push_back({centred(a.pow(ratio) / w.pow(1 - ratio)), "weight-aware", ratio});
  }
  return candidates;
}

}  // namespace ptq::quantizer
