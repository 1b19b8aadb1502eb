#include "ptq/quant/bit_pack.h"

#include <stdexcept>
#include <vector>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "ptq/core/error.h"

namespace ptq {
namespace {

at::Tensor random_values(int64_t rows, int64_t n, int bits) {
  return at::randint(0, 1 << bits, {rows, n}, at::kByte);
}

// The definition, one bit at a time: bit b of value k is bit k·bits + b of the row's stream.
at::Tensor pack_by_bit(const at::Tensor& values, int bits) {
  const int64_t rows = values.size(0), n = values.size(1), words = (n * bits + 31) / 32;
  at::Tensor out = at::zeros({rows, words}, at::kInt);
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t k = 0; k < n; ++k)
      for (int b = 0; b < bits; ++b) {
        const int64_t position = k * bits + b;
        const uint32_t bit = (values[r][k].item<uint8_t>() >> b) & 1u;
        auto* word = out.data_ptr<int32_t>() + r * words + position / 32;
        *word = static_cast<int32_t>(static_cast<uint32_t>(*word) | bit << (position % 32));
      }
  return out;
}

std::vector<uint32_t> words_of(const at::Tensor& packed) {
  const int32_t* words = packed.data_ptr<int32_t>();
  return std::vector<uint32_t>(words, words + packed.numel());
}

TEST(BitPack, EqualsTheBitByBitDefinition) {
  at::manual_seed(1);
  for (int bits = 1; bits <= 8; ++bits)
    for (const int64_t n : {1, 5, 7, 8, 9, 31, 32, 33, 96, 101}) {
      const at::Tensor values = random_values(3, n, bits);
      EXPECT_TRUE(pack_bits(values, bits).equal(pack_by_bit(values, bits)))
          << bits << " bits, " << n << " values";
    }
}

TEST(BitPack, UnpackInvertsPack) {
  at::manual_seed(2);
  for (int bits = 1; bits <= 8; ++bits)
    for (const int64_t n : {0, 1, 6, 8, 13, 32, 96, 1000}) {
      const at::Tensor values = random_values(5, n, bits);
      EXPECT_TRUE(unpack_bits(pack_bits(values, bits), bits, n).equal(values))
          << bits << " bits, " << n << " values";
    }
}

TEST(BitPack, GivesTheGoldenWordsOfTheFormats) {
  at::Tensor four = at::empty({1, 32}, at::kByte), three = at::empty({1, 32}, at::kByte);
  for (int k = 0; k < 32; ++k) {
    four[0][k] = (7 * k + 3) % 16;
    three[0][k] = (5 * k + 1) % 8;
  }
  EXPECT_EQ(words_of(pack_bits(four, 4)),
            (std::vector<uint32_t>{0x4d6f81a3, 0xc5e7092b, 0x4d6f81a3, 0xc5e7092b}));
  EXPECT_EQ(words_of(pack_bits(three, 3)),
            (std::vector<uint32_t>{0xf19d50f1, 0x50f19d50, 0x9d50f19d}));
}

TEST(BitPack, TakesStridedInput) {
  at::manual_seed(3);
  const at::Tensor values = random_values(40, 6, 3).t();
  const at::Tensor words = pack_bits(values, 3);
  EXPECT_TRUE(words.equal(pack_bits(values.contiguous(), 3)));
  EXPECT_TRUE(unpack_bits(words.t().contiguous().t(), 3, 40).equal(values));
}

TEST(BitPack, RefusesAValueThatNeedsMoreBits) {
  at::Tensor values = at::zeros({2, 11}, at::kByte);
  values[1][10] = 8;
  EXPECT_THROW(pack_bits(values, 3), std::logic_error);
  EXPECT_NO_THROW(pack_bits(values, 4));
  EXPECT_THROW(pack_bits(values.to(at::kInt), 4), std::logic_error);
  EXPECT_THROW(pack_bits(values, 9), std::logic_error);
  EXPECT_THROW(unpack_bits(values, 4, 11), std::logic_error);
}

TEST(BitPack, RefusesAWordCountThatDoesNotFit) {
  const at::Tensor words = at::zeros({2, 3}, at::kInt);
  EXPECT_NO_THROW(unpack_bits(words, 4, 24));
  EXPECT_NO_THROW(unpack_bits(words, 4, 17));
  EXPECT_THROW(unpack_bits(words, 4, 16), FormatError);
  EXPECT_THROW(unpack_bits(words, 4, 25), FormatError);
}

}  // namespace
}  // namespace ptq
