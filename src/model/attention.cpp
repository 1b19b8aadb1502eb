#include "attention.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <ATen/ATen.h>

#include "kernels/dispatch.h"
#include "ptq/core/parallel.h"
#include "ptq/core/scratch.h"
#include "recorded.h"
#include "row_ops.h"

namespace ptq {
namespace {

/// The plain formula, differentiable.
at::Tensor plain_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                           const AttentionShape& shape) {
  const int64_t batch = q.size(0), seq = q.size(1);
  const auto by_head = [&](const at::Tensor& x, int64_t heads) {
    const int64_t group = shape.heads / heads;
    const at::Tensor split = x.reshape({batch, seq, heads, shape.head_dim}).transpose(1, 2);
    return split.unsqueeze(2)
        .expand({batch, heads, group, seq, shape.head_dim})
        .reshape({batch, shape.heads, seq, shape.head_dim});
  };
  const at::Tensor position = at::arange(seq, q.options().dtype(at::kLong));
  const at::Tensor distance = position.unsqueeze(1) - position.unsqueeze(0);
  at::Tensor hidden = distance.lt(0);
  if (shape.window > 0) hidden = hidden.logical_or(distance.ge(shape.window));
  const double scale = 1 / std::sqrt(static_cast<double>(shape.head_dim));
  const at::Tensor scores =
      at::matmul(by_head(q, shape.heads), by_head(k, shape.kv_heads).transpose(-1, -2)) * scale;
  const at::Tensor weights =
      at::softmax(scores.masked_fill(hidden, -std::numeric_limits<double>::infinity()), -1);
  return at::matmul(weights, by_head(v, shape.kv_heads)).transpose(1, 2).reshape(q.sizes());
}

/// The keys and values of all sequences and kv-heads in panels.
struct PackedKeyValues {
  int64_t capacity = 0;                      ///< keys of a sequence, in whole panels
  int64_t key_floats = 0, value_floats = 0;  ///< of one sequence and kv-head
  float *keys = nullptr, *values = nullptr;

  PackedKeyValues(Scratch& scratch, int64_t sequences, int64_t seq, const AttentionShape& shape) {
    const int64_t panel = kernels::table().panel;
    capacity = (seq + panel - 1) / panel * panel;
    key_floats = capacity * shape.head_dim;
    value_floats = capacity * ((shape.head_dim + panel - 1) / panel * panel);
    const int64_t count = sequences * shape.kv_heads;
    keys = scratch.floats(count * (key_floats + value_floats));
    values = keys + count * key_floats;
  }

  /// Fills part `index` = sequence · kv_heads + kv-head.
  void pack(int64_t index, const at::Tensor& k, const at::Tensor& v, const AttentionShape& shape) {
    const int64_t seq = k.size(1), stride = k.size(2), panel = kernels::table().panel;
    const int64_t offset =
        index / shape.kv_heads * seq * stride + index % shape.kv_heads * shape.head_dim;
    kernels::table().pack(k.data_ptr<float>() + offset, stride, seq, shape.head_dim,
                          keys + index * key_floats);
    const float* from = v.data_ptr<float>() + offset;
    float* to = values + index * value_floats;
    for (int64_t column = 0; column < shape.head_dim; column += panel) {
      const int64_t width = std::min(panel, shape.head_dim - column);
      for (int64_t row = 0; row < capacity; ++row, to += panel) {
        const int64_t valid = row < seq ? width : 0;
        std::copy_n(from + row * stride + column, valid, to);
        std::fill(to + valid, to + panel, 0.0F);
      }
    }
  }
};

at::Tensor blocked_attention(at::Tensor q, const at::Tensor& k, const at::Tensor& v,
                             const AttentionShape& shape) {
  const kernels::Table& kernel = kernels::table();
  const int64_t batch = q.size(0), seq = q.size(1), group = shape.heads / shape.kv_heads;
  static thread_local Scratch packed_scratch;
  PackedKeyValues packed(packed_scratch, batch, seq, shape);
  parallel_tasks(batch * shape.kv_heads, [&](int64_t index) { packed.pack(index, k, v, shape); });

  const int64_t tokens = std::min(kernel.attention_tokens(group), seq);
  const int64_t tiles = (seq + tokens - 1) / tokens, parts = batch * shape.kv_heads;
  float* data = q.data_ptr<float>();
  parallel_tasks(tiles * parts, [&](int64_t index) {
    static thread_local Scratch scratch;
    const int64_t part = index % parts, tile = tiles - 1 - index / parts;
    kernels::AttentionTask task;
    task.first = tile * tokens;
    task.tokens = std::min(tokens, seq - task.first);
    task.query_stride = q.size(2);
    task.query = data + (part / shape.kv_heads * seq + task.first) * task.query_stride +
                 part % shape.kv_heads * group * shape.head_dim;
    task.keys = packed.keys + part * packed.key_floats;
    task.values = packed.values + part * packed.value_floats;
    task.key_capacity = packed.capacity;
    task.head_dim = shape.head_dim;
    task.group = group;
    task.window = shape.window;
    task.scale = static_cast<float>(1 / std::sqrt(static_cast<double>(shape.head_dim)));
    task.scratch = scratch.floats(kernel.attention_scratch(shape.head_dim, group));
    kernel.attend(task);
  });
  return q;
}

}  // namespace

at::Tensor value_channels(const AttentionShape& shape) {
  const at::Tensor own = at::arange(shape.kv_heads * shape.head_dim, at::kLong);
  return own.view({shape.kv_heads, 1, shape.head_dim})
      .expand({-1, shape.heads / shape.kv_heads, -1})
      .reshape({-1});
}

at::Tensor causal_attention(at::Tensor q, const at::Tensor& k, const at::Tensor& v,
                            const AttentionShape& shape) {
  if (kernels_can_record({q, k, v}, {})) return recorded_attention(q, k, v, shape);
  if (needs_record({q, k, v})) return plain_attention(q, k, v, shape);
  return blocked_attention(q.contiguous(), k.contiguous(), v.contiguous(), shape);
}

}  // namespace ptq
