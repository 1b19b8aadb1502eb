#pragma once
#include <ATen/core/Tensor.h>

namespace ptq {

/// x Wᵀ + b without autograd, by this library's own kernels: `x` float32 [rows, in], `weight`
/// float32 or bfloat16 [out, in], `bias` float32 [out] or undefined -> float32 [rows, out].  A
/// result row depends on its own input row only, to the last bit, whatever the batch and the
/// number of threads.
at::Tensor matmul_transposed(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias);

/// As above without bias, into `y`, float32 [rows, out], each row contiguous.
void matmul_transposed_into(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& y);

}  // namespace ptq
