#pragma once
#include <cstdint>

#include "../device.h"
#include "../layout.h"

// From codes to weights, two at a time in one register: (q − z) exactly, then one rounded
// multiplication by the scale.  That is the dequantized weight rounded once, for float16 and for
// bfloat16.
namespace ptq::cuda {

/// Scales and zero points of the eight channels r, r + 8, … of a strip that one lane works on.
struct LaneScales {
  uint32_t scale[8];  ///< the scale twice
  uint32_t bias[8];   ///< −(magic + z) twice
};

constexpr uint32_t kSymmetricZeros = 0x88888888;  ///< a word of zero points 8

template <class T>
PTQ_DEVICE uint32_t zero_bias(uint32_t low_zero, uint32_t high_zero) {
  return (T::kMagic | kSigns) | low_zero | high_zero << 16;
}

/// `scales`: eight 16-bit scales; `zeros`: eight zero points of 4 bits.
template <class T>
PTQ_DEVICE void set_scales(LaneScales& lane, const Word4& scales, uint32_t zeros) {
#pragma unroll
  for (int j = 0; j < 8; ++j) {
    const uint32_t scale = scales.word[j / 2] >> (16 * (j % 2)) & 0xFFFFU;
    const uint32_t zero = zeros >> (4 * j) & 15U;
    lane.scale[j] = scale | scale << 16;
    lane.bias[j] = zero_bias<T>(zero, zero);
  }
}

/// Two weights of the codes in bits 0 … 3 and 16 … 19 of `codes`.
template <class T>
PTQ_DEVICE uint32_t dequantize_pair(uint32_t codes, uint32_t scale, uint32_t bias) {
  const uint32_t shifted = gpu::mask_or(codes, 0x000F000FU, T::kMagic);  // magic + q
  const uint32_t steps = gpu::fused_multiply_add<T>(shifted, T::kOne, bias);
  // − 0 as third operand keeps the sign of a zero product: this is a multiplication.
  return gpu::fused_multiply_add<T>(steps, scale, kSigns);
}

/// The eight scales of row `row` that lane group r of `strip` needs.
PTQ_DEVICE Word4 strip_scales(const uint16_t* scales, int64_t row, int padded_n, int slot) {
  return gpu::load_constant4(scales + row * padded_n + slot);
}

}  // namespace ptq::cuda
