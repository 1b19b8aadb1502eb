#pragma once
#include <cstdint>

#include <ATen/core/Tensor.h>

namespace ptq {

/// A row-major matrix of logits, float32 [rows, vocab], one row a token; not owned.
struct LogitRows {
  const float* data = nullptr;
  int64_t rows = 0;
  int64_t vocab = 0;
};

/// Negative log-likelihood in nats of `targets` [rows] under softmax(logits): `nll` [rows].
/// Parallel over rows, sums in float64, one pass over the logits (docs/numerics.md).  A row with a
/// NaN or +infinity gives NaN.  Throws std::logic_error for a target outside 0 … vocab-1.
void nll_rows(const LogitRows& logits, const int64_t* targets, double* nll);

/// As `nll_rows` for logits that may be written over: they become the gradients of the rows' NLL,
/// softmax(logits) minus one at the target.  A target of −1 scores nothing: NLL and gradient 0.
void nll_gradient_rows(float* logits, int64_t rows, int64_t vocab, const int64_t* targets,
                       double* nll);

/// The same by LibTorch's operations, for logits on another device: `logits` float32 [rows, vocab]
/// become the gradients; `targets` int64 [rows], of the CPU.  Returns the NLL, float64 [rows], on
/// the device of the logits.  Throws std::logic_error for a target outside -1 … vocab-1.
at::Tensor nll_gradient_on_device(const at::Tensor& logits, const at::Tensor& targets);

/// Kullback-Leibler divergence KL(softmax(reference) ‖ softmax(logits)) in nats of every row: `kl`
/// [rows]; `same_top1` [rows]: 1 where both have the same most likely token (the first of equals).
/// Parallel over rows, sums in float64.  A row with a NaN or +infinity gives NaN.  Throws
/// std::logic_error if the shapes differ.
void kl_rows(const LogitRows& reference, const LogitRows& logits, double* kl, uint8_t* same_top1);

}  // namespace ptq
