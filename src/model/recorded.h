#pragma once
#include <ATen/core/Tensor.h>

#include "attention.h"

namespace ptq {

// This library's kernels under autograd: the results of the functions without a record, and
// gradients with respect to the activations.  Float32 on the CPU only; weights, gains and tables
// are constants, for which the plain formulas stay.

/// Whether autograd records and these functions can: an input needs a gradient, no constant does,
/// and all are float32 on the CPU.
bool kernels_can_record(std::initializer_list<at::Tensor> inputs,
                        std::initializer_list<at::Tensor> constants);

at::Tensor recorded_affine(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias);
/// Zeros of the shape of recorded_affine's result, with its gradient.
at::Tensor recorded_affine_gradient(const at::Tensor& x, const at::Tensor& weight);
at::Tensor recorded_rms_norm(const at::Tensor& x, const at::Tensor& gain, double epsilon);
at::Tensor recorded_silu_mul(const at::Tensor& gate, const at::Tensor& up);
at::Tensor recorded_rotate(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin);
at::Tensor recorded_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                              const AttentionShape& shape);

}  // namespace ptq
