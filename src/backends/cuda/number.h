#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>

// The two 16-bit number formats on the host: conversions that round to nearest, ties to even, and
// keep infinities and NaN, as the GPU's do.
namespace ptq::cuda {

/// The format of activations and of dequantized weights.
enum class Number : int32_t { kFp16 = 0, kBf16 = 1 };

namespace detail {
struct Format {
  int significand;   ///< bits including the hidden one
  int min_exponent;  ///< of the smallest normal number
  int max_exponent;
};
constexpr Format format_of(Number number) {
  return number == Number::kFp16 ? Format{11, -14, 15} : Format{8, -126, 127};
}
}  // namespace detail

/// `value` rounded once to `number`; double, so that what is exact in it is rounded once in all.
inline uint16_t encode(Number number, double value) {
  const detail::Format format = detail::format_of(number);
  const int fraction = format.significand - 1;
  const uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  const int infinity = (format.max_exponent - format.min_exponent + 2) << fraction;
  if (std::isnan(value)) return static_cast<uint16_t>(sign | infinity | 1 << (fraction - 1));
  const double magnitude = std::fabs(value);
  if (magnitude == 0) return sign;
  int exponent = std::isinf(magnitude) ? format.max_exponent + 1 : std::ilogb(magnitude);
  if (exponent > format.max_exponent) return static_cast<uint16_t>(sign | infinity);
  if (exponent < format.min_exponent) exponent = format.min_exponent;
  // In units of the last place; nearbyint rounds ties to even, and a carry out of the significand
  // moves into the exponent field by itself, up to infinity.
  const auto units = static_cast<int>(std::nearbyint(std::ldexp(magnitude, fraction - exponent)));
  const int biased = exponent - format.min_exponent;
  return static_cast<uint16_t>(sign | (units + (biased << fraction)));
}

/// The value that the 16 bits stand for.
inline float decode(Number number, uint16_t bits) {
  if (number == Number::kBf16) {
    const uint32_t wide = static_cast<uint32_t>(bits) << 16;
    float value = 0;
    std::memcpy(&value, &wide, sizeof value);
    return value;
  }
  const int exponent = bits >> 10 & 31;
  const int fraction = bits & 1023;
  float magnitude = 0;
  if (exponent == 31) {
    magnitude = fraction == 0 ? INFINITY : NAN;
  } else {
    magnitude = std::ldexp(static_cast<float>(exponent == 0 ? fraction : fraction + 1024),
                           (exponent == 0 ? 1 : exponent) - 25);
  }
  return (bits & 0x8000) != 0 ? -magnitude : magnitude;
}

/// Whether `number` holds `value` exactly.
inline bool is_exact(Number number, float value) {
  return decode(number, encode(number, value)) == value;
}

}  // namespace ptq::cuda
