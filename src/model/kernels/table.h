#pragma once
#include <cstdint>

#include "ptq/core/kernels/product.h"

namespace ptq::kernels {

/// Some consecutive queries of the heads that share one key-value head.  In the pointed-to tensors
/// a token's heads lie side by side.
struct AttentionTask {
  float* query = nullptr;  ///< first query, first head; the result replaces it
  int64_t query_stride = 0;
  const float* keys = nullptr;    ///< panels [key_capacity / panel][head_dim][panel]
  const float* values = nullptr;  ///< panels [ceil(head_dim / panel)][key_capacity][panel]
  int64_t key_capacity = 0;       ///< keys rounded up to whole panels, the rest zero
  int64_t head_dim = 0, group = 0;
  int64_t first = 0, tokens = 0;  ///< positions of the queries
  int64_t window = 0;             ///< keys visible to a query, itself included; 0: all before it
  float scale = 1;
  float* scratch = nullptr;  ///< Table::attention_scratch floats
};

/// Rows of [tokens, heads, head_dim] to rotate in place.
struct RopeTask {
  float* x = nullptr;
  int64_t stride = 0;                          ///< floats from a token to the next
  int64_t first = 0, tokens = 0, seq = 0;      ///< token t has position (first + t) mod seq
  int64_t heads = 0, half = 0;                 ///< half of head_dim
  const float *cos = nullptr, *sin = nullptr;  ///< [seq, half]
};

/// The kernels compiled for one instruction set.  Products of all sets with fused multiply-add
/// have the same bits; every result row depends on its own input row alone.
struct Table {
  const char* name;
  int64_t panel;  ///< columns of a packed panel of B
  int64_t rows;   ///< columns of a packed panel of Aᵀ
  /// Packs rows of W, row-major [columns, depth], as the panels of B = Wᵀ; missing columns are 0.
  void (*pack)(const float* w, int64_t stride, int64_t columns, int64_t depth, float* panels);
  void (*pack_bf16)(const uint16_t* w, int64_t stride, int64_t columns, int64_t depth,
                    float* panels);
  /// Packs B itself as its panels; missing columns are 0.
  void (*pack_right)(const Columns<float>& b, float* panels);
  void (*pack_right_bf16)(const Columns<uint16_t>& b, float* panels);
  /// Packs the transpose of A, panels of `rows` of its columns.
  void (*pack_left)(const Columns<float>& a, float* panels);
  void (*multiply)(const Product&);
  /// Queries of a task at most, and the floats of scratch it needs.
  int64_t (*attention_tokens)(int64_t group);
  int64_t (*attention_scratch)(int64_t head_dim, int64_t group);
  void (*attend)(const AttentionTask&);
  void (*rotate)(const RopeTask&);
  /// y = x / sqrt(mean(x²) + epsilon) · gain for rows of n; y may be x.
  void (*rms_norm)(const float* x, const float* gain, float epsilon, int64_t rows, int64_t n,
                   float* y);
  /// gate = gate / (1 + exp(−gate)) · up.
  void (*silu_mul)(float* gate, const float* up, int64_t n);
  /// Turns the gradient of rms_norm's result into that of x, in place.
  void (*rms_norm_gradient)(const float* x, const float* gain, float epsilon, int64_t rows,
                            int64_t n, float* gradient);
  /// Gradients of silu_mul's inputs; `gate_gradient` comes as that of the result.
  void (*silu_mul_gradient)(const float* gate, const float* up, int64_t n, float* gate_gradient,
                            float* up_gradient);
  /// x = softmax(scale·x).
  void (*softmax)(float* x, int64_t n, float scale);
  /// Turns the gradient of softmax's result p into that of its input, in place.
  void (*softmax_gradient)(const float* p, int64_t n, float scale, float* gradient);
  void (*exp)(float* x, int64_t n);
  double (*row_nll)(const float* logits, int64_t n, int64_t target);
  /// As row_nll, and the logits become its gradient: softmax minus one at the target.
  double (*nll_gradient)(float* logits, int64_t n, int64_t target);
  void (*row_kl)(const float* reference, const float* logits, int64_t n, double* kl,
                 uint8_t* same_top1);
};

}  // namespace ptq::kernels
