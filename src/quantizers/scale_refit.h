#pragma once
#include <ATen/core/Tensor.h>

#include "layer_objective.h"
#include "ptq/quant/quantized_tensor.h"

namespace ptq::quantizer {

/// What a step that follows the rounding changed.
struct Improvement {
  double fall = 0;      ///< by how much the objective fell: never negative
  int64_t changed = 0;  ///< scales or codes that are others now
};

/// Moves each scale of `quantized`, whose groups are contiguous, to where the objective is least
/// with all codes and the other scales as they are, group by group: with b the signed codes of a
/// row's group, s += bᵀH(w − q) / bᵀHb.  The scale is rounded to what files hold, and kept only
/// where the objective falls for certain in this precision.
Improvement refit_scales(const LayerObjective& objective, at::ScalarType model_dtype,
                         QuantizedTensor& quantized);

/// Bytes that `refit_scales` takes at most for a weight [out, in].
int64_t refit_workspace_bytes(int64_t out, int64_t in);

}  // namespace ptq::quantizer
