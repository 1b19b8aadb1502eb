#pragma once
#include <cstdint>

#include "number.h"

namespace ptq::cuda {

/// Sixteen bytes, one access.
struct alignas(16) Word4 {
  uint32_t word[4];
};

/// float16, and what dequantizing to it needs, each constant twice in a word.
struct Fp16 {
  static constexpr Number kNumber = Number::kFp16;
  static constexpr uint32_t kMagic = 0x64006400;  ///< 1024: 1024 + q is its bits | q
  static constexpr uint32_t kOne = 0x3C003C00;
};
/// bfloat16; 128 + q holds q < 128 in its 7 bits.
struct Bf16 {
  static constexpr Number kNumber = Number::kBf16;
  static constexpr uint32_t kMagic = 0x43004300;
  static constexpr uint32_t kOne = 0x3F803F80;
};
constexpr uint32_t kSigns = 0x80008000;  ///< the sign bits of a pair; alone a pair of -0

}  // namespace ptq::cuda
