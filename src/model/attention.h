#pragma once
#include <cstdint>

#include <ATen/core/Tensor.h>

namespace ptq {

/// How the heads of an attention layer lie in its projections.
struct AttentionShape {
  int64_t heads = 0, kv_heads = 0, head_dim = 0;
  int64_t window = 0;  ///< keys a query sees, itself included; 0: all up to itself
};

/// int64 [heads·head_dim]: the channel of v that each channel of the result is a mean of.
at::Tensor value_channels(const AttentionShape& shape);

/// softmax(q kᵀ / √head_dim) v with a causal mask: `q` float32 [batch, seq, heads·head_dim], `k`,
/// `v` [batch, seq, kv_heads·head_dim], rotated already -> [batch, seq, heads·head_dim].  Records
/// autograd if it is on and an input needs it; else a blocked kernel (docs/numerics.md) that may
/// write over `q` and never holds more than a tile of scores.
at::Tensor causal_attention(at::Tensor q, const at::Tensor& k, const at::Tensor& v,
                            const AttentionShape& shape);

/// Gradients of causal_attention's inputs, each of its input's shape.
struct AttentionGradient {
  at::Tensor q, k, v;
};

/// The gradients of causal_attention by this library's kernels: `q`, `k`, `v` its inputs,
/// contiguous float32, `gradient` that of its result.  The attention weights of a tile of queries
/// are computed again; no [seq, seq] matrix is kept.
AttentionGradient attention_gradient(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                     const at::Tensor& gradient, const AttentionShape& shape);

}  // namespace ptq
