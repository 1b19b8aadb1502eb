#pragma once
#include <ATen/core/Tensor.h>

#include "gptq_settings.h"
#include "hessian_factor.h"
#include "ptq/quant/quantized_tensor.h"

namespace ptq::quantizer {

/// Rows of a weight that share a Hessian, and what they are to become.
struct RowProblem {
  at::Tensor weight;            ///< float32 [rows, in], contiguous
  at::Tensor gram;              ///< float32 [in, in], without damping
  const HessianFactor& factor;  ///< of `gram`
  QuantScheme scheme;
  at::ScalarType model_dtype;
};

struct RoundedRows {
  QuantizedTensor weight;
  double error = 0;   ///< tr((Ŵ−W) gram (Ŵ−W)ᵀ); without a factor Σ (ŵ−w)²
  double energy = 0;  ///< tr(W gram Wᵀ); without a factor Σ w²
  int64_t scales_refitted = 0, codes_changed = 0;
  int64_t rows_reduced = 0;  ///< that smaller ranges made better
};

/// GPTQ and what `settings` put after it; to nearest if the Hessian has no factor.
RoundedRows round_rows(const RowProblem& problem, const GptqSettings& settings);

/// Bytes that `round_rows` takes at most beside its problem, for a weight [out, in]; vectors are
/// not counted.
int64_t round_rows_bytes(int64_t out, int64_t in, const GptqSettings& settings);

}  // namespace ptq::quantizer
