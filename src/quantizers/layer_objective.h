#pragma once
#include <ATen/core/Tensor.h>

namespace ptq::quantizer {

/// The error of a linear's outputs over the calibration tokens, of which GPTQ and all that follows
/// it make less: J(Q) = tr((Q − W) H (Q − W)ᵀ) with H = gram + diag(added).  Columns stand in the
/// weight's own order.
struct LayerObjective {
  at::Tensor weight;  ///< float32 [out, in] W, contiguous
  at::Tensor gram;    ///< float32 [in, in] symmetric
  at::Tensor added;   ///< float32 [in] what the diagonal is raised by
};

/// Half the gradient of J with respect to the columns first … first+count−1 of Q: float32 [out,
/// count], where `miss`, float32 [out, in], is Q − W.
at::Tensor half_gradient(const LayerObjective& objective, const at::Tensor& miss, int64_t first,
                         int64_t count);

/// H of the columns first … first+count−1 among each other: float32 [count, count], contiguous.
at::Tensor corner_of(const LayerObjective& objective, int64_t first, int64_t count);

}  // namespace ptq::quantizer
