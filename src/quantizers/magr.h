#pragma once
#include <ATen/core/Tensor.h>

#include "ptq/quant/scheme.h"

namespace ptq::quantizer {

/// How hard, and how long.
struct MagrSettings {
  double strength = 0;     ///< of the pull on a group's largest weight, relative to it; 0: none
  int64_t iterations = 0;  ///< of proximal gradient descent
};

/// A weight near `weight` W0, float32 [out, in], with smaller ranges in its groups of columns, as
/// far as the outputs stay (MagR, arXiv:2406.00800): steps toward the minimum, row by row, of
///   ½ (w − w0)ᵀ H (w − w0) / λ_max(H) + Σ over groups of α_g · max |w_g|,
/// α_g = strength · max |w0_g|.  `gram` H: float32 [in, in].  Steps of 1 / λ_max
/// shrink the objective each.  Returns W0 itself where H is 0 or not finite.
at::Tensor reduce_ranges(const at::Tensor& weight, const at::Tensor& gram,
                         const QuantScheme& scheme, const MagrSettings& settings);

/// Bytes that `reduce_ranges` takes at most for a weight [out, in], its result included.
int64_t reduce_ranges_bytes(int64_t out, int64_t in);

}  // namespace ptq::quantizer
