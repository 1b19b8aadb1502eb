#include "number.h"

#include <limits>

#include <gtest/gtest.h>

namespace ptq::cuda {
namespace {

TEST(Number, DecodeInvertsEncodeOnAllPatterns) {
  for (const Number number : {Number::kFp16, Number::kBf16}) {
    for (uint32_t bits = 0; bits < 0x10000; ++bits) {
      const float value = decode(number, static_cast<uint16_t>(bits));
      if (std::isnan(value)) {
        EXPECT_TRUE(std::isnan(decode(number, encode(number, value))));
      } else {
        ASSERT_EQ(encode(number, value), bits);
      }
    }
  }
}

// Halfway between neighbours the even one, just above halfway the upper: the definition.
TEST(Number, EncodeRoundsToNearestTiesToEven) {
  for (const Number number : {Number::kFp16, Number::kBf16}) {
    const uint32_t infinity = number == Number::kFp16 ? 0x7C00 : 0x7F80;
    for (uint32_t bits = 0; bits + 1 < infinity; ++bits) {
      const double low = decode(number, static_cast<uint16_t>(bits));
      const double high = decode(number, static_cast<uint16_t>(bits + 1));
      const double middle = low / 2 + high / 2;
      ASSERT_EQ(encode(number, middle), bits + bits % 2);
      ASSERT_EQ(encode(number, std::nextafter(middle, high)), bits + 1);
      ASSERT_EQ(encode(number, std::nextafter(middle, low)), bits);
      ASSERT_EQ(encode(number, -middle), (bits + bits % 2) | 0x8000U);
    }
  }
}

TEST(Number, KnownValuesAndOverflow) {
  EXPECT_EQ(encode(Number::kFp16, 1.0), 0x3C00);
  EXPECT_EQ(encode(Number::kBf16, 1.0), 0x3F80);
  EXPECT_EQ(encode(Number::kFp16, 65504.0), 0x7BFF);
  EXPECT_EQ(encode(Number::kFp16, 65519.9), 0x7BFF);
  EXPECT_EQ(encode(Number::kFp16, 65520.0), 0x7C00);
  EXPECT_EQ(encode(Number::kFp16, 0x1p-25), 0);
  EXPECT_EQ(encode(Number::kFp16, -INFINITY), 0xFC00);
  EXPECT_EQ(encode(Number::kBf16, -0.0), 0x8000);
  EXPECT_TRUE(is_exact(Number::kFp16, 0.1F * 0 + 0x1.004p0F));
  EXPECT_FALSE(is_exact(Number::kBf16, 0x1.004p0F));
}

TEST(Number, TooLargeIsWhatIsFiniteAndBeyondTheLargest) {
  for (const Number number : {Number::kFp16, Number::kBf16}) {
    const float largest = decode(number, number == Number::kFp16 ? 0x7BFF : 0x7F7F);
    for (const float sign : {1.0F, -1.0F}) {
      EXPECT_FALSE(is_too_large(number, sign * largest));
      EXPECT_TRUE(is_too_large(number, sign * std::nextafter(largest, INFINITY)));
      EXPECT_TRUE(is_too_large(number, sign * std::numeric_limits<float>::max()));
      EXPECT_FALSE(is_too_large(number, sign * INFINITY));
    }
    EXPECT_FALSE(is_too_large(number, NAN));
  }
}

}  // namespace
}  // namespace ptq::cuda
