#pragma once
#include <cstdint>

// Included only by files that are compiled for one instruction set each.  Everything is a template
// over `Isa`, a type of that file, so that no two files define the same symbol: the linker must not
// put code for a newer processor where an older one runs.  Hence also no standard library functions
// here.
namespace ptq::kernels {

/// Vectors of N numbers.
template <int N>
struct VectorTypes {
  /// N float32.
  typedef float Float __attribute__((vector_size(N * 4)));
  /// N uint32.
  typedef uint32_t Int __attribute__((vector_size(N * 4)));
  /// N float32 at any address.
  typedef float Unaligned __attribute__((vector_size(N * 4), aligned(4), may_alias));
  /// N float64.
  typedef double Double __attribute__((vector_size(N * 8)));
};

/// Arithmetic on one register of `Isa`, a type with kLanes (floats of a register).
template <class Isa>
struct Vector {
  static constexpr int64_t kLanes = Isa::kLanes;
  using Float = typename VectorTypes<Isa::kLanes>::Float;
  using Int = typename VectorTypes<Isa::kLanes>::Int;
  using Unaligned = typename VectorTypes<Isa::kLanes>::Unaligned;
  using Double = typename VectorTypes<Isa::kLanes>::Double;

  /// The floats at `p`, which need not be aligned.
  static Float load(const float* p) { return *reinterpret_cast<const Unaligned*>(p); }
  /// Writes `v` to `p`, which need not be aligned.
  static void store(float* p, Float v) { *reinterpret_cast<Unaligned*>(p) = v; }
  /// `v` in every lane.
  static Float all(float v) { return Float{} + v; }
  /// The greater of each lane; `b` where one is NaN.
  static Float max(Float a, Float b) { return a > b ? a : b; }

  /// Σ of the lanes, in their order.
  static float sum(Float v) {
    float total = 0;
    for (int64_t i = 0; i < kLanes; ++i)
      total += v[i];
    return total;
  }
  /// Σ of the lanes, in their order.
  static double sum(Double v) {
    double total = 0;
    for (int64_t i = 0; i < kLanes; ++i)
      total += v[i];
    return total;
  }
  /// The greatest lane.
  static float largest(Float v) {
    float top = v[0];
    for (int64_t i = 1; i < kLanes; ++i)
      top = v[i] > top ? v[i] : top;
    return top;
  }
  /// The lanes as float64.
  static Double widen(Float v) { return __builtin_convertvector(v, Double); }

  /// e^x to 2 ulp for x in [−87.3, 88.3]; 0 below, constant above, NaN stays NaN
  /// (docs/numerics.md).
  static Float exp(Float x) {
    constexpr float kMagic = 12582912.0F;  // 1.5 · 2^23: adding it rounds to an integer
    const Float high = x > 88.3F ? all(88.3F) : x;
    const Float shifted = high * 1.44269504F + kMagic;
    const Float n = shifted - kMagic;
    Float r = high - n * 0.693359375F;
    r = r - n * -2.12194440e-4F;
    Float q = all(1.39262131e-3F);
    q = q * r + 8.36320315e-3F;
    q = q * r + 4.16665561e-2F;
    q = q * r + 1.66665763e-1F;
    q = q * r + 0.5F;
    const Float p = (q * r + 1.0F) * r + 1.0F;
    const Int exponent = (reinterpret_cast<Int>(shifted) + (127U - 0x4B400000U)) << 23;
    const Float result = p * reinterpret_cast<Float>(exponent);
    return x < -87.3F ? Float{} : result;
  }
};

/// e^x of one number, by the vector code so that all lanes and this agree.
template <class Isa>
float exp_one(float x) {
  return Vector<Isa>::exp(Vector<Isa>::all(x))[0];
}

}  // namespace ptq::kernels
