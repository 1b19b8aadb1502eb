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
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  const auto sign = static_cast<uint16_t>(bits >> 63 << 15);
  bits &= ~(uint64_t{1} << 63);
  const uint64_t infinity = (format.max_exponent - format.min_exponent + 2) << fraction;
  if (std::isnan(value)) return static_cast<uint16_t>(sign | infinity | 1 << (fraction - 1));
  const uint64_t smallest_normal = static_cast<uint64_t>(1023 + format.min_exponent) << 52;
  if (bits < smallest_normal) {
    // In units of the last place, of which the smallest normal number has 2^fraction.
    const double units = std::ldexp(std::fabs(value), fraction - format.min_exponent);
    return static_cast<uint16_t>(sign | static_cast<int>(std::nearbyint(units)));
  }
  // Nearest, ties to even; a carry out of the significand moves into the exponent by itself.
  const int drop = 52 - fraction;
  const uint64_t half = uint64_t{1} << (drop - 1);
  const uint64_t rounded = (bits + (half - 1) + (bits >> drop & 1)) >> drop;
  const uint64_t magnitude =
      rounded - (static_cast<uint64_t>(1022 + format.min_exponent) << fraction);
  return static_cast<uint16_t>(sign | (magnitude < infinity ? magnitude : infinity));
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

/// Whether `value` is finite, but larger in magnitude than any number of the format (though the
/// first half a unit beyond the largest would be rounded down to it).
inline bool is_too_large(Number number, float value) {
  const float largest = number == Number::kFp16 ? 65504.0F : 0x1.FEp127F;
  const float magnitude = std::fabs(value);
  return static_cast<int>(magnitude > largest) & static_cast<int>(magnitude <= 0x1.FFFFFEp127F);
}

/// Whether `number` holds `value` exactly.
inline bool is_exact(Number number, float value) {
  return decode(number, encode(number, value)) == value;
}

}  // namespace ptq::cuda
