#pragma once
#include <cstdint>
#include <initializer_list>
#include <utility>

#include <ATen/core/Tensor.h>

namespace ptq {

/// Whether plain ATen operations must be used: autograd records, or the data is not float32 on the
/// CPU.  Else this library's kernels run, which neither record nor check.
bool needs_record(std::initializer_list<at::Tensor> inputs);

/// x / sqrt(mean(x²) + epsilon) · gain over the last dimension (Zhang and Sennrich,
/// arXiv:1910.07467); `x` float32 [..., n], `gain` float32 [n].
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& gain, double epsilon);

/// As `rms_norm` with n = the size of `gain` dividing the last dimension: every head alone.  May
/// write over `x`.
at::Tensor rms_norm_heads(at::Tensor x, const at::Tensor& gain, double epsilon);

/// gate / (1 + e^−gate) · up, float32 of one shape; may write over `gate`.
at::Tensor silu_mul(at::Tensor gate, const at::Tensor& up);

/// residual + update, float32 of one shape; may write over `update`.
at::Tensor add_residual(const at::Tensor& residual, at::Tensor update);

/// Rotates pairs (i, i + head_dim/2) of every head by its position's angle (Su et al.,
/// arXiv:2104.09864, in the half-split order of Llama checkpoints): `x` float32 [batch, seq,
/// heads·head_dim], `cos` and `sin` float32 [seq, head_dim/2].  May write over `x`.
at::Tensor rotate(at::Tensor x, const at::Tensor& cos, const at::Tensor& sin);

/// The gradient of rms_norm's `x`, contiguous float32, from that of its result.
at::Tensor rms_norm_gradient(const at::Tensor& x, const at::Tensor& gain, double epsilon,
                             const at::Tensor& gradient);

/// The gradients of silu_mul's gate and up, contiguous float32, from that of its result.
std::pair<at::Tensor, at::Tensor> silu_mul_gradient(const at::Tensor& gate, const at::Tensor& up,
                                                    const at::Tensor& gradient);

}  // namespace ptq
