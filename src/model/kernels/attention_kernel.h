#pragma once
#include "ptq/core/kernels/product_kernel.h"
#include "table.h"

namespace ptq::kernels {

/// Softmax(q kᵀ · scale) v in tiles of keys with a running maximum and sum per query row
/// (Dao et al., arXiv:2205.14135, algorithm 1); tiles no query sees are skipped.
template <class Isa>
struct AttentionKernel {
  using V = Vector<Isa>;
  using Float = typename V::Float;
  using Multiply = ProductKernel<Isa>;
  static constexpr int64_t kLanes = Isa::kLanes;
  static constexpr int64_t kPanel = Multiply::kPanel;
  static constexpr int64_t kKeyTile = 256;
  static constexpr int64_t kScoreStride = kKeyTile + 16;  // rows on different cache sets
  static constexpr int64_t kTileRows = 96;                // a multiple of every kRows
  static constexpr float kLowest = -3.402823466e38F;

  /// Queries of a task, so that its rows fill a tile.
  static int64_t tokens(int64_t group) { return group < kTileRows ? kTileRows / group : 1; }
  static int64_t padded(int64_t head_dim) { return (head_dim + kPanel - 1) / kPanel * kPanel; }
  static int64_t scratch(int64_t head_dim, int64_t group) {
    return tokens(group) * group * (head_dim + kScoreStride + padded(head_dim) + 2);
  }

  /// Where a task's scratch lies; a row is one head of one query.
  struct Rows {
    int64_t count;
    float *query, *scores, *sum_of_values, *top, *sum;
  };

  static void attend(const AttentionTask& task) {
    Rows rows{};
    rows.count = task.tokens * task.group;
    rows.query = task.scratch;
    rows.scores = rows.query + rows.count * task.head_dim;
    rows.sum_of_values = rows.scores + rows.count * kScoreStride;
    rows.top = rows.sum_of_values + rows.count * padded(task.head_dim);
    rows.sum = rows.top + rows.count;
    gather(task, rows);
    const int64_t last = task.first + task.tokens;
    const int64_t begin = task.window > 0 && task.first + 1 > task.window
                              ? (task.first + 1 - task.window) / kKeyTile * kKeyTile
                              : 0;
    for (int64_t key = begin; key < last; key += kKeyTile)
      add_tile(task, rows, key, last - key < kKeyTile ? last - key : kKeyTile);
    scatter(task, rows);
  }

  static void gather(const AttentionTask& task, const Rows& rows) {
    for (int64_t r = 0; r < rows.count; ++r) {
      const float* from =
          task.query + r / task.group * task.query_stride + r % task.group * task.head_dim;
      for (int64_t i = 0; i < task.head_dim; ++i)
        rows.query[r * task.head_dim + i] = from[i] * task.scale;
      rows.top[r] = kLowest;
      rows.sum[r] = 0;
    }
    for (int64_t i = 0; i < rows.count * padded(task.head_dim); ++i)
      rows.sum_of_values[i] = 0;
  }

  static void scatter(const AttentionTask& task, const Rows& rows) {
    for (int64_t r = 0; r < rows.count; ++r) {
      float* to = task.query + r / task.group * task.query_stride + r % task.group * task.head_dim;
      const float factor = 1 / rows.sum[r];
      for (int64_t i = 0; i < task.head_dim; ++i)
        to[i] = rows.sum_of_values[r * padded(task.head_dim) + i] * factor;
    }
  }

  /// Keys key … key + count − 1, of which the panels' rest is masked.
  static void add_tile(const AttentionTask& task, const Rows& rows, int64_t key, int64_t count) {
    const int64_t columns = (count + kPanel - 1) / kPanel * kPanel;
    Product scores;
    scores.a = rows.query;
    scores.a_stride = scores.depth = task.head_dim;
    scores.b = task.keys + key * task.head_dim;
    scores.panel_stride = task.head_dim * kPanel;
    scores.c = rows.scores;
    scores.c_stride = kScoreStride;
    scores.rows = rows.count;
    scores.columns = columns;
    Multiply::multiply(scores);
    for (int64_t r = 0; r < rows.count; ++r) {
      const int64_t position = task.first + r / task.group;
      int64_t low = task.window > 0 ? position + 1 - task.window - key : 0;
      int64_t high = position + 1 - key;
      low = low < 0 ? 0 : low < columns ? low : columns;
      high = high < 0 ? 0 : high < columns ? high : columns;
      float* row = rows.scores + r * kScoreStride;
      for (int64_t i = 0; i < low; ++i)
        row[i] = kLowest;
      for (int64_t i = high; i < columns; ++i)
        row[i] = kLowest;
      if (low < high) {
        soften(row, columns, rows.sum_of_values + r * padded(task.head_dim), padded(task.head_dim),
               rows.top[r], rows.sum[r]);
      } else {
        for (int64_t i = 0; i < columns; ++i)
          row[i] = 0;
      }
    }
    Product values;
    values.a = rows.scores;
    values.a_stride = kScoreStride;
    values.depth = columns;
    values.b = task.values + key * kPanel;
    values.panel_stride = task.key_capacity * kPanel;
    values.c = rows.sum_of_values;
    values.c_stride = values.columns = padded(task.head_dim);
    values.rows = rows.count;
    values.add = true;
    Multiply::multiply(values);
  }

  /// Scores of one row to e^(score − top), with what was summed before brought to the new maximum.
  static void soften(float* row, int64_t n, float* values, int64_t width, float& top, float& sum) {
    Float most = V::all(top);
    for (int64_t i = 0; i < n; i += kLanes)
      most = V::max(V::load(row + i), most);
    const float new_top = V::largest(most);
    Float total{};
    for (int64_t i = 0; i < n; i += kLanes) {
      const Float e = V::exp(V::load(row + i) - new_top);
      V::store(row + i, e);
      total += e;
    }
    if (new_top != top) {
      const float factor = exp_one<Isa>(top - new_top);
      for (int64_t i = 0; i < width; i += kLanes)
        V::store(values + i, V::load(values + i) * factor);
      sum *= factor;
      top = new_top;
    }
    sum += V::sum(total);
  }
};

}  // namespace ptq::kernels
