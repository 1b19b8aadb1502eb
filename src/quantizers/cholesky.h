#pragma once
#include <ATen/core/Tensor.h>

namespace ptq::quantizer {

/// The Cholesky factor U of a symmetric matrix A = UᵀU, in place: `matrix` float32 [n, n],
/// contiguous, of which only the upper triangle is read and becomes U; what is below is left in no
/// particular state.  False if a pivot is not positive (or is NaN).  In blocks, on all threads,
/// with the same bits for any number of them.
bool cholesky_upper(at::Tensor& matrix);

}  // namespace ptq::quantizer
