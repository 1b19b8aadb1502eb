#pragma once
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

namespace ptq::quantizer {

enum class ColumnOrder {
  kNone,
  kActivation,  ///< largest diagonal elements first
  kGroupAware,  ///< groups by their largest diagonal element, columns within each group likewise
};
enum class DampingScale { kMean, kMedian };

struct HessianSettings {
  double damping = 0.01;  ///< of the scale below, added to the diagonal
  DampingScale damping_scale = DampingScale::kMean;
  ColumnOrder order = ColumnOrder::kActivation;
  int64_t group_length = 0;  ///< read by kGroupAware; divides the number of columns

  /// Names the settings, for messages and caches.
  std::string key() const;
};

/// H = Gram matrix + damping on the diagonal, its columns in solving order, as L D Lᵀ taken from
/// the end: H = R D Rᵀ with R upper triangular and ones on its diagonal.
struct HessianFactor {
  at::Tensor order;      ///< int64 [in]: the column that is solved j-th
  at::Tensor diagonal;   ///< float32 [in] of H with its damping, in the weight's own order
  at::Tensor feedback;   ///< float32 [in, in] R in solving order; undefined if H has no factor
  at::Tensor pivots;     ///< float32 [in] D in solving order
  at::Tensor added;      ///< float32 [in] what the diagonal was raised by, in solving order
  double damping = 0;    ///< what the diagonal of every column with an input was raised by
  int64_t dead = 0;      ///< columns whose input was always 0
  bool float64 = false;  ///< float32 did not suffice
  std::vector<std::string> fallbacks;  ///< raised damping, or why there is no factor
};

/// Factors H of `gram`, float32 [in, in] XᵀX.  Tries float32, then float64, then tenfold damping up
/// to the largest diagonal element's scale; each raise is recorded.
HessianFactor factor_hessian(const at::Tensor& gram, const HessianSettings& settings);

/// Bytes that `factor_hessian` takes at its peak for a Gram matrix [in, in], its retry in float64
/// included and the Gram matrix itself left out; vectors are not counted.
int64_t factor_workspace_bytes(int64_t in);

}  // namespace ptq::quantizer
