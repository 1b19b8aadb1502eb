#pragma once
#include "ptq/core/kernels/product.h"
#include "ptq/core/kernels/vector.h"

namespace ptq::kernels {

/// Packs and multiplies with the registers of `Isa`, a type with kLanes (floats of a register) and
/// kRows (rows of a register tile).
template <class Isa>
struct ProductKernel {
  using V = Vector<Isa>;
  using Float = typename V::Float;
  static constexpr int64_t kLanes = Isa::kLanes;
  static constexpr int64_t kPanel = 2 * kLanes;
  static constexpr int kRows = Isa::kRows;

  /// `R` rows of C by one panel: the accumulators fill the register file.
  template <int R, bool kPackedA>
  static void tile(const Product& p, const float* a, const float* b, float* c, int64_t c_stride,
                   bool add) {
    Float sum[R][2];
    for (int i = 0; i < R; ++i)
      sum[i][0] = sum[i][1] = Float{};
    for (int64_t k = 0; k < p.depth; ++k) {
      const Float b0 = V::load(b + k * kPanel), b1 = V::load(b + k * kPanel + kLanes);
#pragma GCC unroll 16
      for (int i = 0; i < R; ++i) {
        const float scalar = kPackedA ? a[k * kRows + i] : a[i * p.a_stride + k];
        sum[i][0] += scalar * b0;
        sum[i][1] += scalar * b1;
      }
    }
    for (int i = 0; i < R; ++i) {
      float* out = c + i * c_stride;
      V::store(out, add ? V::load(out) + sum[i][0] : sum[i][0]);
      V::store(out + kLanes, add ? V::load(out + kLanes) + sum[i][1] : sum[i][1]);
    }
  }

  /// As `tile` for 1 … R rows.
  template <int R, bool kPackedA>
  static void tile_of(int64_t rows, const Product& p, const float* a, const float* b, float* c,
                      int64_t c_stride, bool add) {
    if (rows == R) {
      tile<R, kPackedA>(p, a, b, c, c_stride, add);
    } else if constexpr (R > 1) {
      tile_of<R - 1, kPackedA>(rows, p, a, b, c, c_stride, add);
    }
  }

  /// `multiply` for one way in which A comes.
  template <bool kPackedA>
  static void multiply_tiles(const Product& p) {
    for (int64_t j = 0; j < p.columns; j += kPanel) {
      const float* b = p.b + j / kPanel * p.panel_stride;
      const int64_t columns = p.columns - j < kPanel ? p.columns - j : kPanel;
      for (int64_t i = 0; i < p.rows && i + p.lead < j + kPanel; i += kRows) {
        const int64_t rows = p.rows - i < kRows ? p.rows - i : kRows;
        const float* a = p.a + i * p.a_stride;
        float* c = p.c + i * p.c_stride + j;
        if (columns == kPanel) {
          tile_of<kRows, kPackedA>(rows, p, a, b, c, p.c_stride, p.add);
        } else {
          float whole[kRows * kPanel];
          tile_of<kRows, kPackedA>(rows, p, a, b, whole, kPanel, false);
          for (int64_t r = 0; r < rows; ++r)
            for (int64_t x = 0; x < columns; ++x)
              c[r * p.c_stride + x] = whole[r * kPanel + x] + (p.add ? c[r * p.c_stride + x] : 0);
        }
      }
    }
  }

  /// C (+)= A·B as `p` says.
  static void multiply(const Product& p) {
    if (p.packed_a)
      multiply_tiles<true>(p);
    else
      multiply_tiles<false>(p);
  }

  /// The number itself.
  static float to_float(float v) {
    return v;
  }
  /// A bfloat16 by its bits, widened exactly.
  static float to_float(uint16_t bf16) {
    const uint32_t bits = static_cast<uint32_t>(bf16) << 16;
    float v;
    __builtin_memcpy(&v, &bits, sizeof(v));
    return v;
  }

  /// Panels of `Width` columns of a row-major matrix, its rows multiplied by `weights` (null: 1).
  template <int64_t Width, class T>
  static void pack_columns(const Columns<T>& m, float* panels) {
    for (int64_t j = 0; j < m.columns; j += Width, panels += m.depth * Width) {
      const int64_t valid = m.columns - j < Width ? m.columns - j : Width;
      for (int64_t k = 0; k < m.depth; ++k) {
        const T* from = m.data + k * m.stride + j;
        const float weight = m.weights != nullptr ? m.weights[k] : 1.0F;
        float* to = panels + k * Width;
        if (valid == Width) {
          for (int64_t x = 0; x < Width; ++x)
            to[x] = to_float(from[x]) * weight;
        } else {
          for (int64_t x = 0; x < Width; ++x)
            to[x] = x < valid ? to_float(from[x]) * weight : 0;
        }
      }
    }
  }

  /// Panels of `Width` rows of a row-major [rows, depth] matrix; missing rows are 0.
  template <int64_t Width, class T>
  static void pack_rows(const T* w, int64_t stride, int64_t rows, int64_t depth, float* panels) {
    constexpr int64_t kBlock = 16;  // of each row at a time: keeps reads and writes in cache
    for (int64_t j = 0; j < rows; j += Width, panels += depth * Width) {
      const int64_t valid = rows - j < Width ? rows - j : Width;
      for (int64_t k0 = 0; k0 < depth; k0 += kBlock) {
        const int64_t end = k0 + kBlock < depth ? k0 + kBlock : depth;
        for (int64_t x = 0; x < valid; ++x)
          for (int64_t k = k0; k < end; ++k)
            panels[k * Width + x] = to_float(w[(j + x) * stride + k]);
        for (int64_t x = valid; x < Width; ++x)
          for (int64_t k = k0; k < end; ++k)
            panels[k * Width + x] = 0;
      }
    }
  }
};

}  // namespace ptq::kernels
