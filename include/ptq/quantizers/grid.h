#pragma once
#include <ATen/core/Tensor.h>

#include "ptq/quant/quantized_tensor.h"
#include "ptq/quant/scheme.h"

namespace ptq {

/// The grids of a weight [out, in], one for each row and group.
struct Grids {
  at::Tensor scale;  ///< float32 [out, groups], as `storable_scale` gives it
  at::Tensor zero;   ///< uint8 [out, groups]
};

/// How the grid of a group is found.
struct GridFit {
  /// false: the group's full range.  true: of the full range and its shrunk versions down to 0.4,
  /// in both signs if symmetric and with neighbouring zero points if not, the one with the least
  /// Σ_j importance[j]·(ŵ_j − w_j)².
  bool search = false;
  at::Tensor importance;  ///< float32 [in], not negative; undefined: 1 everywhere
};

/// Fits the grids of `weight`, float32 [out, in], whose columns are contiguous in memory.
///
/// Full range, symmetric: the value of largest magnitude gets code 0, that is −2^(bits−1) steps, so
/// the scale is negative where that value is positive and no code is wasted.  Asymmetric: minimum
/// and maximum, 0 included.  Scales are rounded to what files hold before errors are judged.  A
/// group of zeros gets scale 1.  Throws NumericalError if a weight is not finite or a scale does
/// not fit into float16.
Grids fit_grids(const at::Tensor& weight, const QuantScheme& scheme, at::ScalarType model_dtype,
                const GridFit& fit);

/// A weight on its grids by plain rounding, half to even.
struct RoundedWeight {
  QuantizedTensor weight;
  double squared_error;   ///< Σ (ŵ − w)²
  double squared_weight;  ///< Σ w²
};

/// Rounds `weight`, float32 [out, in], to the nearest points of `grids`, contiguous groups.
RoundedWeight round_to_nearest(const at::Tensor& weight, const QuantScheme& scheme,
                               const Grids& grids);

}  // namespace ptq
