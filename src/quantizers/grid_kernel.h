#pragma once
#include <cstdint>
#include <cstring>

// What the kernels of this folder share: one grid point by rounding, and the scales files can hold.
// Vectors stay inside always_inline functions and are passed by reference only, since how they
// would be passed by value depends on the instruction set.
namespace ptq::quantizer::kernels {

template <int W>
struct VectorOf {
  typedef float Type [[gnu::vector_size(W * sizeof(float))]];
};
template <>
struct VectorOf<1> {
  using Type = float;
};
template <int W>
using Vector = typename VectorOf<W>::Type;

template <class V>
[[gnu::always_inline]] inline void load(V& v, const float* from) {
  std::memcpy(&v, from, sizeof(V));
}
template <class V>
[[gnu::always_inline]] inline void store(float* to, const V& v) {
  std::memcpy(to, &v, sizeof(V));
}

/// steps = round(x · inverse), half to even, within low … high: the signed code, code − zero.
template <class V>
[[gnu::always_inline]] inline void round_to_grid(V& steps, const V& x, const V& inverse,
                                                 const V& low, const V& high) {
  constexpr float kShift = 12582912.0F;  // 1.5 · 2^23: adding it drops the fraction
  V t = x * inverse;
  t = t < low ? low : t;
  t = t > high ? high : t;
  steps = (t + kShift) - kShift;
}

/// The scalar twin of ptq::storable_scale without its range check: float16, then bfloat16 if
/// `bfloat16`, never zero.
[[gnu::always_inline]] inline float storable(float scale, bool bfloat16) {
  uint32_t bits = 0;
  std::memcpy(&bits, &scale, sizeof bits);
  const uint32_t sign = bits & 0x80000000U;
  bits ^= sign;
  float magnitude = 0;
  std::memcpy(&magnitude, &bits, sizeof bits);
  // Below float16's normal range its values are multiples of 2^-24, the spacing of floats at 0.75.
  float small = (magnitude + 0.75F) - 0.75F;
  small = small < 0x1p-24F ? 0x1p-24F : small;
  uint32_t small_bits = 0;
  std::memcpy(&small_bits, &small, sizeof small_bits);
  const uint32_t half = (bits + 0xFFFU + ((bits >> 13) & 1U)) & ~0x1FFFU;
  uint32_t stored = magnitude < 0x1p-14F ? small_bits : half;
  stored = bfloat16 ? (stored + 0x7FFFU + ((stored >> 16) & 1U)) & 0xFFFF0000U : stored;
  stored |= sign;
  std::memcpy(&scale, &stored, sizeof scale);
  return scale;
}

}  // namespace ptq::quantizer::kernels
