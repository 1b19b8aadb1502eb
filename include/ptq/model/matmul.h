#pragma once
#include <ATen/core/Tensor.h>

namespace ptq {

// Matrix products by this library's own kernels, without autograd; on another device than the CPU,
// where all tensors of a call must lie, by LibTorch's, whose sums have their own order.  All
// tensors are float32 (a weight may be bfloat16).  Each throws std::logic_error for dtypes or
// shapes that do not fit, and for a result, or a factor of a transposed product, without contiguous
// rows; other factors are copied.  On the CPU a result has the same bits whatever the number of
// threads.

/// x Wᵀ + b: `x` [rows, in], `weight` float32 or bfloat16 [out, in], `bias` [out] or undefined ->
/// [rows, out].  A result row depends on its own input row only, to the last bit.
at::Tensor matmul_transposed(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias);

/// As above without bias, into `y` [rows, out].
void matmul_transposed_into(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& y);

/// a b: float32 [rows, depth] · float32 or bfloat16 [depth, columns] -> [rows, columns], row by row
/// like the above.
at::Tensor matrix_product(const at::Tensor& a, const at::Tensor& b);

/// What of a product's result is computed.
enum class Part {
  kWhole,
  kUpper,  ///< the diagonal and what is above it; below it only what shares a kernel's tile
};

/// sum += Aᵀ diag(weights) B: `a` [tokens, m], `b` [tokens, n], `weights` [tokens] or undefined
/// (1), `sum` [m, n].  With Part::kUpper half of the product of a symmetric result is left out.
void add_transposed_product(const at::Tensor& a, const at::Tensor& b, const at::Tensor& weights,
                            Part part, const at::Tensor& sum);

/// sum += (AᵀB)², element by element, without that product in memory: `a` [tokens, m], `b`
/// [tokens, n], `sum` [m, n].
void add_squared_product(const at::Tensor& a, const at::Tensor& b, const at::Tensor& sum);

/// As above with the column sums of (AᵀB)² only: `sum` float64 [n].
void add_squared_product_columns(const at::Tensor& a, const at::Tensor& b, const at::Tensor& sum);

}  // namespace ptq
