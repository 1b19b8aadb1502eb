#pragma once
#include <ATen/core/Tensor.h>

#include "hessian_factor.h"

namespace ptq::quantizer {

struct Corrected {
  at::Tensor weight;     ///< float32 [out, in], contiguous
  double drift = 0;      ///< ‖W* − W‖ / ‖W‖, after halving
  int64_t halvings = 0;  ///< how often W* − W was halved to stay below the bound
  bool finite = true;    ///< false: W* was not, and `weight` is W
};

/// The weight whose outputs on the inputs X̃ of the partly quantized model are nearest to those of
/// `weight` W, float32 [out, in], on the full-precision model's X, with a ridge toward W:
///   W* = (W XᵀX̃ + λW)(H + λI)⁻¹ = W + W (X − X̃)ᵀX̃ (H + λI)⁻¹,   H = X̃ᵀX̃.
/// ‖X Wᵀ − X̃ Qᵀ‖² is ‖X̃ (W* − Q)ᵀ‖² and a constant (λ = 0), so that what rounds W* as usual makes
/// up for what was rounded before (QEP, arXiv:2504.09629).  `cross`: float32 [in, in] (X − X̃)ᵀX̃;
/// `factor`, of H, must have one; its damping is λ.  W* − W is halved until ‖W* − W‖ <=
/// `most_drift`·‖W‖; W stays where W* is not finite.
Corrected precorrect(const at::Tensor& weight, const at::Tensor& cross, const HessianFactor& factor,
                     double most_drift);

/// Bytes that `precorrect` takes at most for a weight [out, in], its result included.
int64_t precorrect_bytes(int64_t out, int64_t in);

}  // namespace ptq::quantizer
