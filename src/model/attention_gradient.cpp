#include <algorithm>
#include <cmath>
#include <cstring>

#include <ATen/ATen.h>

#include "attention.h"
#include "kernels/dispatch.h"
#include "ptq/core/parallel.h"
#include "ptq/core/scratch.h"

namespace ptq {
namespace {

constexpr int64_t kTileRows = 96;  // queries at a time

/// Some rows of one head: a view of a [tokens, heads·head_dim] matrix.
struct HeadRows {
  float* data;
  int64_t stride;
  HeadRows from(int64_t row) const { return {data + row * stride, stride}; }
};

/// A query head and the gradients of what it gives and takes, from their first rows on.
struct QueryHead {
  HeadRows q, dout, dq;
};

int64_t whole_panels(int64_t columns) {
  const int64_t panel = kernels::table().panel;
  return (columns + panel - 1) / panel * panel;
}

/// The gradient of one key-value head of one sequence, on one thread.
class HeadGradient {
 public:
  HeadGradient(const AttentionShape& shape, int64_t seq, Scratch& scratch)
      : shape_(shape), seq_(seq), scale_(1 / std::sqrt(static_cast<float>(shape.head_dim))) {
    const int64_t dim = whole_panels(shape.head_dim), keys = whole_panels(seq);
    const int64_t rows = kernels::table().rows;
    float* next = scratch.floats(2 * keys * shape.head_dim + keys * dim + 3 * kTileRows * keys +
                                 kTileRows * (dim + rows));
    const auto take = [&next](int64_t count) {
      float* taken = next;
      next += count;
      return taken;
    };
    keys_ = take(keys * shape.head_dim);
    values_ = take(keys * shape.head_dim);
    key_rows_ = take(keys * dim);
    weights_ = take(kTileRows * keys);
    gradients_ = take(kTileRows * keys);
    left_ = take(kTileRows * (keys + rows));
    right_ = take(kTileRows * dim);
  }

  void pack(const HeadRows& k, const HeadRows& v) {
    const kernels::Table& kernel = kernels::table();
    kernel.pack(k.data, k.stride, seq_, shape_.head_dim, keys_);
    kernel.pack(v.data, v.stride, seq_, shape_.head_dim, values_);
    kernel.pack_right({k.data, k.stride, shape_.head_dim, seq_}, key_rows_);
  }

  /// One query head's tile of `rows` queries from position `first` on: sets its dQ, adds to dK and
  /// dV.
  void tile(int64_t first, int64_t rows, const QueryHead& head, const HeadRows& dk,
            const HeadRows& dv) {
    const auto& [q, dout, dq] = head;
    const int64_t panel = kernels::table().panel;
    const int64_t begin =
        shape_.window > 0 ? std::max<int64_t>(0, first - shape_.window + 1) / panel * panel : 0;
    const int64_t keys = first + rows - begin;
    by_columns(q.from(first), rows, keys_ + begin * shape_.head_dim, keys, weights_);
    by_columns(dout.from(first), rows, values_ + begin * shape_.head_dim, keys, gradients_);
    for (int64_t i = 0; i < rows; ++i)
      soften(first + i, begin, keys, weights_ + i * keys, gradients_ + i * keys);
    by_keys(gradients_, rows, begin, keys, dq.from(first));
    add_columns(weights_, rows, keys, dout.from(first), dv.from(begin));
    add_columns(gradients_, rows, keys, q.from(first), dk.from(begin));
  }

 private:
  /// result [rows, keys] = a [rows, head_dim] times packed columns.
  void by_columns(const HeadRows& a, int64_t rows, const float* packed, int64_t keys,
                  float* result) const {
    kernels::Product product;
    product.a = a.data;
    product.a_stride = a.stride;
    product.b = packed;
    product.panel_stride = kernels::table().panel * shape_.head_dim;
    product.c = result;
    product.c_stride = keys;
    product.rows = rows;
    product.depth = shape_.head_dim;
    product.columns = keys;
    kernels::table().multiply(product);
  }

  /// A query's attention weights from its scores, and the gradient of the scores from that of the
  /// weights.
  void soften(int64_t query, int64_t begin, int64_t keys, float* weights, float* gradient) const {
    const int64_t lowest =
        shape_.window > 0 ? std::max<int64_t>(0, query - shape_.window + 1) - begin : 0;
    const int64_t count = query + 1 - begin - lowest;
    std::fill(weights, weights + lowest, 0.0F);
    std::fill(gradient, gradient + lowest, 0.0F);
    kernels::table().softmax(weights + lowest, count, scale_);
    kernels::table().softmax_gradient(weights + lowest, count, scale_, gradient + lowest);
    std::fill(weights + lowest + count, weights + keys, 0.0F);
    std::fill(gradient + lowest + count, gradient + keys, 0.0F);
  }

  /// result [rows, head_dim] = a [rows, keys] times the keys as rows.
  void by_keys(const float* a, int64_t rows, int64_t begin, int64_t keys,
               const HeadRows& result) const {
    const int64_t panel = kernels::table().panel;
    kernels::Product product;
    product.a = a;
    product.a_stride = keys;
    product.b = key_rows_ + begin * panel;
    product.panel_stride = panel * seq_;
    product.c = result.data;
    product.c_stride = result.stride;
    product.rows = rows;
    product.depth = keys;
    product.columns = shape_.head_dim;
    kernels::table().multiply(product);
  }

  /// sum [keys, head_dim] += aᵀ b for a [rows, keys] and b [rows, head_dim].
  void add_columns(const float* a, int64_t rows, int64_t keys, const HeadRows& b,
                   const HeadRows& sum) const {
    const kernels::Table& kernel = kernels::table();
    kernel.pack_left({a, keys, keys, rows}, left_);
    kernel.pack_right({b.data, b.stride, shape_.head_dim, rows}, right_);
    kernels::Product product;
    product.a = left_;
    product.a_stride = rows;
    product.packed_a = true;
    product.b = right_;
    product.panel_stride = kernel.panel * rows;
    product.c = sum.data;
    product.c_stride = sum.stride;
    product.rows = keys;
    product.depth = rows;
    product.columns = shape_.head_dim;
    product.add = true;
    kernel.multiply(product);
  }

  const AttentionShape& shape_;
  int64_t seq_;
  float scale_;
  float *keys_, *values_, *key_rows_, *weights_, *gradients_, *left_, *right_;
};

}  // namespace

AttentionGradient attention_gradient(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                     const at::Tensor& gradient, const AttentionShape& shape) {
  const int64_t batch = q.size(0), seq = q.size(1), group = shape.heads / shape.kv_heads;
  const int64_t dim = shape.head_dim;
  const at::Tensor dout = gradient.contiguous();
  AttentionGradient result{at::empty_like(q), at::zeros_like(k), at::zeros_like(v)};
  parallel_tasks(batch * shape.kv_heads, [&](int64_t part) {
    static thread_local Scratch scratch;
    HeadGradient head(shape, seq, scratch);
    const int64_t sequence = part / shape.kv_heads, kv_head = part % shape.kv_heads;
    const auto rows_of = [&](const at::Tensor& x, int64_t index) {
      return HeadRows{x.data_ptr<float>() + sequence * seq * x.size(2) + index * dim, x.size(2)};
    };
    head.pack(rows_of(k, kv_head), rows_of(v, kv_head));
    for (int64_t member = 0; member < group; ++member) {
      const int64_t query_head = kv_head * group + member;
      for (int64_t first = 0; first < seq; first += kTileRows)
        head.tile(
            first, std::min(kTileRows, seq - first),
            {rows_of(q, query_head), rows_of(dout, query_head), rows_of(result.q, query_head)},
            rows_of(result.k, kv_head), rows_of(result.v, kv_head));
    }
  });
  return result;
}

}  // namespace ptq
