#pragma once
#include "layer_objective.h"
#include "ptq/quant/quantized_tensor.h"
#include "scale_refit.h"

namespace ptq::quantizer {

/// One pass of cyclic coordinate descent over the codes of `quantized`, whose groups are
/// contiguous, with the grids as they are (QuantEase, arXiv:2309.01885, equation 6): each column in
/// turn goes to the point of its grid where the objective is least.  A code changes only where the
/// objective falls for certain in this precision.  m·n² multiply-adds for a weight [m, n], twice
/// those of `solve_columns`; parallel over rows, with the same bits for any number of threads.
Improvement descend(const LayerObjective& objective, QuantizedTensor& quantized);

/// Bytes that `descend` takes at most for a weight [out, in]; vectors are not counted.
int64_t descent_workspace_bytes(int64_t out, int64_t in);

}  // namespace ptq::quantizer
