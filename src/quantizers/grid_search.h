#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>

#include "grid_kernel.h"

namespace ptq::quantizer::kernels {

/// The candidate grids of a group, relative to its full range; the same for all groups of a weight.
struct GridCandidates {
  static constexpr int kMost = 192;  ///< a multiple of every vector width
  int count = 1;
  alignas(64) float shrink[kMost];       ///< factor on the full-range scale; negative: other sign
  alignas(64) float zero_offset[kMost];  ///< added to the zero point, asymmetric only
};

/// One weight whose grids are fitted.
struct GridTask {
  const float* weight;
  int64_t row_stride;
  int64_t columns;
  int64_t group_length;
  const float* importance;  ///< [columns], or null: 1
  int bits;
  bool symmetric;
  bool bfloat16;
  GridCandidates candidates;
  float* scale;   ///< [rows, groups]
  uint8_t* zero;  ///< [rows, groups]
};

/// A group's candidates with their actual scales.
struct TriedGrids {
  alignas(64) float scale[GridCandidates::kMost];
  alignas(64) float inverse[GridCandidates::kMost];
  alignas(64) float zero[GridCandidates::kMost];
  alignas(64) float error[GridCandidates::kMost];
};

struct Range {
  float low, high;  ///< of the values and 0
  float poison;     ///< 0, or NaN if a value is not finite
};

template <int W>
[[gnu::always_inline]] inline Range range_of(const float* x, int64_t n) {
  Vector<W> low = {}, high = {}, poison = {}, v;
  int64_t j = 0;
  for (; j + W <= n; j += W) {
    load(v, x + j);
    low = v < low ? v : low;
    high = v > high ? v : high;
    poison += v * 0.0F;
  }
  float lows[W], highs[W], poisons[W];
  store(lows, low);
  store(highs, high);
  store(poisons, poison);
  Range range{0, 0, 0};
  for (int k = 0; k < W; ++k) {
    range.low = lows[k] < range.low ? lows[k] : range.low;
    range.high = highs[k] > range.high ? highs[k] : range.high;
    range.poison += poisons[k];
  }
  for (; j < n; ++j) {
    range.low = x[j] < range.low ? x[j] : range.low;
    range.high = x[j] > range.high ? x[j] : range.high;
    range.poison += x[j] * 0.0F;
  }
  return range;
}

/// Actual scales and zero points of the candidates of a group with this range.
[[gnu::always_inline]] inline void lay_out(const GridTask& task, Range range, TriedGrids& tried) {
  const GridCandidates& candidates = task.candidates;
  const float levels = static_cast<float>(1 << task.bits);
  const float extreme = range.high >= -range.low ? range.high : range.low;
  const float full =
      task.symmetric ? extreme * -2.0F / levels : (range.high - range.low) / (levels - 1.0F);
  for (int c = 0; c < candidates.count; ++c) {
    const float scale = storable(full * candidates.shrink[c], task.bfloat16);
    const float inverse = 1.0F / scale;
    float zero = -range.low * candidates.shrink[c] * inverse;
    zero = (zero + 12582912.0F) - 12582912.0F + candidates.zero_offset[c];
    zero = zero < 0.0F ? 0.0F : zero;
    zero = zero > levels - 1.0F ? levels - 1.0F : zero;
    tried.scale[c] = scale;
    tried.inverse[c] = inverse;
    tried.zero[c] = task.symmetric ? 0.5F * levels : zero;
  }
}

/// Σ importance·(ŵ − w)² of every candidate: candidates are the vector's lanes, so that each sum
/// has one fixed order on every machine.
template <int W>
[[gnu::always_inline]] inline void judge(const GridTask& task, const float* x,
                                         const float* importance, int64_t n, TriedGrids& tried) {
  const float top = static_cast<float>((1 << task.bits) - 1);
  for (int c = 0; c < task.candidates.count; c += W) {
    Vector<W> scale, inverse, zero, error = {};
    load(scale, tried.scale + c);
    load(inverse, tried.inverse + c);
    load(zero, tried.zero + c);
    const Vector<W> low = -zero, high = top - zero;
    for (int64_t j = 0; j < n; ++j) {
      const Vector<W> value = x[j] - Vector<W>{};
      Vector<W> steps;
      round_to_grid(steps, value, inverse, low, high);
      const Vector<W> miss = steps * scale - value;
      error += miss * miss * (importance != nullptr ? importance[j] : 1.0F);
    }
    store(tried.error + c, error);
  }
}

/// Fits the grids of some rows.
struct FitGrids {
  template <int W>
  [[gnu::always_inline]] static void run(const GridTask& task, int64_t begin, int64_t end) {
    const int64_t groups = (task.columns + task.group_length - 1) / task.group_length;
    TriedGrids tried;
    for (int64_t row = begin; row < end; ++row) {
      for (int64_t g = 0; g < groups; ++g) {
        const int64_t first = g * task.group_length;
        const int64_t n = std::min(task.group_length, task.columns - first);
        const float* x = task.weight + row * task.row_stride + first;
        float& scale = task.scale[row * groups + g];
        uint8_t& zero = task.zero[row * groups + g];
        const Range range = range_of<W>(x, n);
        if (range.low == range.high || range.poison != 0.0F) {  // nothing but zeros, or no number
          scale = 1.0F + range.poison;
          zero = static_cast<uint8_t>(task.symmetric ? 1 << (task.bits - 1) : 0);
          continue;
        }
        lay_out(task, range, tried);
        int best = 0;
        if (task.candidates.count > 1) {
          const float* importance = task.importance != nullptr ? task.importance + first : nullptr;
          judge<W>(task, x, importance, n, tried);
          for (int c = 1; c < task.candidates.count; ++c)
            if (tried.error[c] < tried.error[best]) best = c;
        }
        scale = tried.scale[best];
        zero = static_cast<uint8_t>(tried.zero[best]);
      }
    }
  }
};

}  // namespace ptq::quantizer::kernels
