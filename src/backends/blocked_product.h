#pragma once
#include <cstdint>

#include <ATen/core/Tensor.h>

namespace ptq::backend {

/// A weight that is dequantized panel by panel.
class PanelSource {
 public:
  virtual ~PanelSource() = default;

  /// Writes the weights of KernelTable::panel outputs from `first` on (0 where there is none) at
  /// the positions begin … begin + depth − 1, float32 [depth, panel].  `begin` is a multiple of
  /// kDepth, `depth` at most kDepth.
  virtual void fill(int64_t first, int64_t begin, int64_t depth, float* panel) const = 0;
};

/// y = x Wᵀ for float32 `x` [rows, positions] and `y` [rows, out], both with contiguous rows.  Each
/// element is summed over stretches of kDepth positions, in order; so the bits are those of
/// matmul_transposed (ptq/model/matmul.h) with the same weight.
void multiply_blocked(const at::Tensor& x, const PanelSource& weight, const at::Tensor& y);

}  // namespace ptq::backend
