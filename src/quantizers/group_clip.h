#pragma once
#include <cstdint>

#include <ATen/core/Tensor.h>

#include "ptq/quantizers/grid.h"

namespace ptq::quantizer {

/// Fits the grids of `weight`, float32 [out, in] contiguous, by what rounding to them does to each
/// group's part of the output: δᵀ H_gg δ for every row and group, H_gg the group's corner of
/// `gram`, float32 [in, in].  That is the clip search of AWQ (Lin et al., arXiv:2306.00978) over
/// all tokens at the cost of a product per group.  Tried are the ranges cut to 1, 0.95 … 0.55 of
/// their extent and the grids that `fit_grids` finds with the Gram matrix's diagonal; so no group
/// is worse off than with any of these.
Grids fit_group_grids(const at::Tensor& weight, const QuantScheme& scheme,
                      at::ScalarType model_dtype, const at::Tensor& gram);

}  // namespace ptq::quantizer
