#pragma once
#include "ptq/core/kernels/product_kernel.h"
#include "table.h"

namespace ptq::backend {

/// Reads 4-bit codes.  A code is put into the mantissa of a power of two, which makes it a float
/// without a conversion: at bit 12 of 2^11 or at bit 16 of 2^7 it counts ones.
template <class Isa>
struct Int4Kernel {
  using V = kernels::Vector<Isa>;
  using Float = typename V::Float;
  using Int = typename V::Int;
  using Multiply = kernels::ProductKernel<Isa>;
  static constexpr int64_t kLanes = Isa::kLanes;
  static constexpr int64_t kStreamRows = 6;

  /// Of one group, for a register of outputs: w = scale·(code + offset), or where scales are short
  /// code·scale + offset, whose product and sum are both exact.
  struct Grid {
    Float scale, odd, even;  ///< offsets of odd and even positions
  };

  /// The scales of a register of outputs, from `at` on.
  static Float scales(const Int4Weight& w, int64_t at) {
    if (w.scale != nullptr) return V::load(w.scale + at);
    typedef uint16_t Short __attribute__((vector_size(kLanes * 2), aligned(2), may_alias));
    const Int bits =
        __builtin_convertvector(*reinterpret_cast<const Short*>(w.short_scale + at), Int);
    const Int value = (bits & 0x7FFFU) << w.short_shift | (bits & 0x8000U) << 16;
    return reinterpret_cast<Float>(value) * w.short_factor;
  }

  template <bool kShort>
  static Grid grid(const Int4Weight& w, int64_t out, int64_t group) {
    const int64_t at = scale_index(out, group, w.groups);
    Float zero = V::all(8);
    if (w.zero != nullptr)
      for (int64_t i = 0; i < kLanes; ++i)
        zero[i] = w.zero[at + i];
    Grid g;
    g.scale = scales(w, at);
    g.odd = -2048.0F - zero;
    g.even = -128.0F - zero;
    if (kShort) {
      g.odd *= g.scale;
      g.even *= g.scale;
    }
    return g;
  }

  /// The code at position K added to 2^11 or 2^7.
  template <int K>
  static Float shifted_code(Int word) {
    constexpr int kBit = K % 2 == 1 ? 12 : 16, kShift = kBit - 4 * K;
    constexpr uint32_t kMask = 0xFU << kBit, kPower = (127U + 23U - kBit) << 23;
    Int moved = word;
    if constexpr (kShift > 0) moved = word << kShift;
    if constexpr (kShift < 0) moved = word >> -kShift;
    return reinterpret_cast<Float>((moved & kMask) | kPower);
  }

  template <int K, bool kShort>
  static Float weight(Int word, const Grid& g) {
    const Float code = shifted_code<K>(word);
    const Float offset = K % 2 == 1 ? g.odd : g.even;
    return kShort ? code * g.scale + offset : (code + offset) * g.scale;
  }

  static Int load_words(const uint32_t* p) {
    return reinterpret_cast<Int>(V::load(reinterpret_cast<const float*>(p)));
  }

  static const uint32_t* words_of(const Int4Weight& w, int64_t out) {
    return w.words + word_index(out, 0, w.words_per_output);
  }

  /// Sums of M rows by N registers of outputs.
  template <int M, int N>
  struct Sums {
    Float sum[M][N];
  };

  template <int K, bool kShort, int M, int N>
  static void add(const Int (&words)[N], const Grid (&grids)[N], const float* x, int64_t x_stride,
                  Sums<M, N>& s) {
#pragma GCC unroll 4
    for (int n = 0; n < N; ++n) {
      const Float w = weight<K, kShort>(words[n], grids[n]);
#pragma GCC unroll 6
      for (int m = 0; m < M; ++m)
        s.sum[m][n] += x[m * x_stride + K] * w;
    }
  }

  /// The word to ask memory for while `word` is used: one later in this or, at its end, in the
  /// next N registers of outputs.
  template <int N>
  static int64_t ahead_of(const Int4Weight& w, int64_t word) {
    constexpr int64_t kAhead = 24, kBlocks = N * kLanes / kBlockOutputs;
    const int64_t ahead = word + kAhead, skipped = (kBlocks - 1) * w.words_per_output;
    return ahead < w.words_per_output ? ahead : ahead + skipped;
  }

  /// Word `word` of N registers of outputs, whose words begin at `from`.
  template <int N>
  [[gnu::always_inline]] static void load_side(const Int4Weight& w,
                                               const uint32_t* const (&from)[N], int64_t word,
                                               Int (&words)[N]) {
#pragma GCC unroll 4
    for (int n = 0; n < N; ++n) {
      words[n] = load_words(from[n] + word * kBlockOutputs);
      if (n * kLanes % kBlockOutputs == 0)
        __builtin_prefetch(from[n] + ahead_of<N>(w, word) * kBlockOutputs);
    }
  }

  template <bool kShort, int M, int N>
  static void add_run(const StreamTask& t, const Run& run, int64_t out, Sums<M, N>& s) {
    Grid grids[N];
    const uint32_t* from[N];
    for (int n = 0; n < N; ++n) {
      grids[n] = grid<kShort>(t.weight, out + n * kLanes, run.group);
      from[n] = words_of(t.weight, out + n * kLanes);
    }
    for (int64_t word = run.begin; word < run.end; ++word) {
      Int words[N];
      load_side(t.weight, from, word, words);
      const float* x = t.x + word * kWordCodes;
      add<0, kShort>(words, grids, x, t.x_stride, s);
      add<1, kShort>(words, grids, x, t.x_stride, s);
      add<2, kShort>(words, grids, x, t.x_stride, s);
      add<3, kShort>(words, grids, x, t.x_stride, s);
      add<4, kShort>(words, grids, x, t.x_stride, s);
      add<5, kShort>(words, grids, x, t.x_stride, s);
      add<6, kShort>(words, grids, x, t.x_stride, s);
      add<7, kShort>(words, grids, x, t.x_stride, s);
    }
  }

  /// Stores a register of outputs from `at` on into a row of y, no more than there are.
  static void store_outputs(const StreamTask& t, int64_t at, const Float& values, float* row) {
    const int64_t left = t.first + t.count - at;
    if (left >= kLanes)
      V::store(row + at, values);
    else
      for (int64_t i = 0; i < left; ++i)
        row[at + i] = values[i];
  }

  /// In the order of the blocked product: a stretch of kDepth positions is summed one after the
  /// other, then added to those before.
  template <bool kShort, int M, int N>
  static void stream_outputs(const StreamTask& t, int64_t out) {
    Sums<M, N> total{};
    for (int64_t i = 0; i < t.stretches; ++i) {
      Sums<M, N> s{};
      for (const Run* run = t.runs + t.run_begin[i]; run < t.runs + t.run_begin[i + 1]; ++run)
        add_run<kShort>(t, *run, out, s);
      for (int m = 0; m < M; ++m)
        for (int n = 0; n < N; ++n)
          total.sum[m][n] += s.sum[m][n];
    }
    for (int m = 0; m < M; ++m)
      for (int n = 0; n < N; ++n)
        store_outputs(t, out + n * kLanes, total.sum[m][n], t.y + m * t.y_stride);
  }

  template <bool kShort, int M>
  static void stream_rows(const StreamTask& t) {
    constexpr int kSide = M <= Isa::kWideStreamRows ? 4 : 2;
    const int64_t end = t.first + round_up(t.count, kOutputMultiple);
    int64_t out = t.first;
    for (; out + kSide * kLanes <= end; out += kSide * kLanes)
      stream_outputs<kShort, M, kSide>(t, out);
    for (; out < end; out += 2 * kLanes)
      stream_outputs<kShort, M, 2>(t, out);
  }

  /// Whether one register of floats holds all codes' values.
  static constexpr bool kTable = kLanes == 16;

  /// q − 8 at position K: a lookup in `steps` that ignores what is above the code, or arithmetic.
  template <int K>
  static Float step(Int word, const Float& steps) {
    if constexpr (kTable)
      return __builtin_shuffle(steps, word >> bit_of(K));
    else
      return shifted_code<K>(word) + (K % 2 == 1 ? -2056.0F : -136.0F);
  }

  template <int K, int N>
  static void add_steps(const Int (&words)[N], const Float& steps, const float* x,
                        Float (&sum)[N]) {
#pragma GCC unroll 4
    for (int n = 0; n < N; ++n)
      sum[n] += x[K] * step<K>(words[n], steps);
  }

  template <int N>
  static void add_group(const StreamTask& t, const Run& run, int64_t out, Float (&total)[N]) {
    Float steps, sum[N] = {};
    for (int i = 0; i < kLanes; ++i)
      steps[i] = static_cast<float>(i - 8);
    const uint32_t* from[N];
    for (int n = 0; n < N; ++n)
      from[n] = words_of(t.weight, out + n * kLanes);
    for (int64_t word = run.begin; word < run.end; ++word) {
      Int words[N];
      load_side(t.weight, from, word, words);
      const float* x = t.x + word * kWordCodes;
      add_steps<0>(words, steps, x, sum);
      add_steps<1>(words, steps, x, sum);
      add_steps<2>(words, steps, x, sum);
      add_steps<3>(words, steps, x, sum);
      add_steps<4>(words, steps, x, sum);
      add_steps<5>(words, steps, x, sum);
      add_steps<6>(words, steps, x, sum);
      add_steps<7>(words, steps, x, sum);
    }
    for (int n = 0; n < N; ++n)
      total[n] +=
          sum[n] * scales(t.weight, scale_index(out + n * kLanes, run.group, t.weight.groups));
  }

  template <int N>
  static void stream_alone(const StreamTask& t, int64_t out) {
    Float total[N] = {};
    for (const Run* run = t.runs; run < t.runs + t.run_begin[t.stretches]; ++run)
      add_group(t, *run, out, total);
    for (int n = 0; n < N; ++n)
      store_outputs(t, out + n * kLanes, total[n], t.y);
  }

  /// One row of a symmetric weight: the steps are summed over a group before they are scaled.  That
  /// needs fewer operations with AVX-512 and fewer registers with the others.
  static void stream_row(const StreamTask& t) {
    const int64_t end = t.first + round_up(t.count, kOutputMultiple);
    int64_t out = t.first;
    for (; out + 4 * kLanes <= end; out += 4 * kLanes)
      stream_alone<4>(t, out);
    for (; out < end; out += 2 * kLanes)
      stream_alone<2>(t, out);
  }

  template <bool kShort, int M>
  static void stream_up_to(const StreamTask& t) {
    if (t.rows == M)
      stream_rows<kShort, M>(t);
    else if constexpr (M > 1)
      stream_up_to<kShort, M - 1>(t);
  }

  static void stream(const StreamTask& t) {
    if (t.rows == 1 && t.weight.zero == nullptr) return stream_row(t);
    if (t.weight.exact_products)
      stream_up_to<true, kStreamRows>(t);
    else
      stream_up_to<false, kStreamRows>(t);
  }

  template <int K, bool kShort>
  static void put(Int word, const Grid& g, float* to) {
    V::store(to + K * Multiply::kPanel, weight<K, kShort>(word, g));
  }

  template <bool kShort>
  static void fill_outputs(const FillTask& t, int64_t out, float* to) {
    const uint32_t* from = words_of(t.weight, out);
    for (const Run* run = t.begin; run < t.end; ++run) {
      const Grid g = grid<kShort>(t.weight, out, run->group);
      for (int64_t word = run->begin; word < run->end; ++word) {
        const Int w = load_words(from + word * kBlockOutputs);
        put<0, kShort>(w, g, to);
        put<1, kShort>(w, g, to);
        put<2, kShort>(w, g, to);
        put<3, kShort>(w, g, to);
        put<4, kShort>(w, g, to);
        put<5, kShort>(w, g, to);
        put<6, kShort>(w, g, to);
        put<7, kShort>(w, g, to);
        to += kWordCodes * Multiply::kPanel;
      }
    }
  }

  static void fill(const FillTask& t) {
    for (int64_t side = 0; side < Multiply::kPanel; side += kLanes) {
      if (t.weight.exact_products)
        fill_outputs<true>(t, t.first + side, t.panel + side);
      else
        fill_outputs<false>(t, t.first + side, t.panel + side);
    }
  }
};

/// The kernels of the instruction set that the including file is compiled for.
template <class Isa>
constexpr KernelTable make_table(const char* name) {
  using Multiply = kernels::ProductKernel<Isa>;
  using Int4 = Int4Kernel<Isa>;
  static_assert(kOutputMultiple % Multiply::kPanel == 0, "whole panels");
  return {name,
          Multiply::kPanel,
          Multiply::kRows,
          Int4::kStreamRows,
          Int4::stream,
          Int4::fill,
          Multiply::template pack_rows<Multiply::kRows, float>,
          Multiply::multiply};
}

}  // namespace ptq::backend
