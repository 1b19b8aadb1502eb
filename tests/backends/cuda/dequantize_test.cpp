#include "kernels/dequantize.h"

#include <random>

#include <gtest/gtest.h>

#include "emulated.h"
#include "weight_case.h"

namespace ptq::cuda {
namespace {

TEST(Dequantize, WritesTheRoundedWeightBitForBit) {
  for (const CaseOptions& options : all_cases()) {
    SCOPED_TRACE(options.name());
    const WeightCase weight(options);
    const HostWeight packed = pack(weight.arrays(), options.number);
    const std::vector<uint16_t> out = emulate_dequantize(packed, 1 + options.seed % 3);
    for (int64_t channel = 0; channel < packed.n; ++channel) {
      for (int64_t input = 0; input < packed.padded_k; ++input) {
        const uint16_t value = out[channel * packed.padded_k + input];
        if (input < packed.k) {
          ASSERT_EQ(value, weight.rounded(channel, input)) << channel << " " << input;
        } else {
          ASSERT_EQ(value & 0x7FFF, 0) << channel << " " << input;
        }
      }
    }
  }
}

// Every code with every zero point and scales over the whole range of the format, subnormal
// numbers and overflow among them: one rounding of the exact product.
TEST(Dequantize, EveryStepTimesAnyScaleIsRoundedOnce) {
  std::mt19937 random(3);
  const auto check = [&](auto number, uint32_t scale, int code, int zero) {
    using T = decltype(number);
    const uint32_t bias = zero_bias<T>(static_cast<uint32_t>(zero), 0);
    const uint32_t pair = dequantize_pair<T>(static_cast<uint32_t>(code), scale, bias);
    const float exact =
        static_cast<float>(code - zero) * decode(T::kNumber, static_cast<uint16_t>(scale));
    ASSERT_EQ(pair & 0xFFFFU, encode(T::kNumber, exact)) << scale << " " << code << " " << zero;
  };
  for (int i = 0; i < 200; ++i) {
    const uint32_t scale = random() & 0xFFFFU;
    if (std::isnan(decode(Number::kFp16, static_cast<uint16_t>(scale))) ||
        !std::isfinite(decode(Number::kBf16, static_cast<uint16_t>(scale))) ||
        (scale & 0x7C00U) == 0x7C00U) {
      continue;
    }
    for (int place = 0; place < 256; ++place) {
      check(Fp16{}, scale, place % 16, place / 16);
      check(Bf16{}, scale, place % 16, place / 16);
    }
  }
}

TEST(Stage, RoundsGathersAndPads) {
  for (const CaseOptions& options : all_cases()) {
    const HostWeight packed = pack(WeightCase(options).arrays(), options.number);
    std::vector<float> x;
    std::mt19937 random(5);
    std::normal_distribution<float> normal(0, 1);
    for (int64_t i = 0; i < 3 * packed.k; ++i) {
      x.push_back(normal(random));
    }
    const std::vector<uint16_t> staged = emulate_stage(packed, x);
    for (int64_t i = 0; i < 3 * packed.padded_k; ++i) {
      const int64_t row = i / packed.padded_k, position = i % packed.padded_k;
      const int64_t input = packed.order.empty() ? position : packed.order[position];
      const uint16_t expected =
          position < packed.k ? encode(options.number, x[row * packed.k + input]) : 0;
      ASSERT_EQ(staged[i], expected) << options.name() << " " << row << " " << position;
    }
  }
}

// A piece's sum of at most 64 products of 16-bit numbers, exact in float32 each: rounding errors of
// the tree are at most log2(64) + 1 = 7 half units of the sum of magnitudes.
TEST(Sparse, PiecesSumTheirProducts) {
  CaseOptions options;
  options.out = 40;
  options.in = 257;
  options.sparse = options.permuted = true;
  for (const Number number : {Number::kFp16, Number::kBf16}) {
    options.number = number;
    const WeightCase weight(options);
    const HostWeight packed = pack(weight.arrays(), number);
    const int m = 5;
    std::mt19937 random(5);
    std::normal_distribution<float> normal(0, 1);
    std::vector<float> x(m * packed.k);
    for (float& value : x) {
      value = decode(number, encode(number, normal(random)));
    }
    const std::vector<float> sums = emulate_sparse(packed, emulate_stage(packed, x));
    const SparsePieces& sparse = packed.sparse;
    for (size_t piece = 0; piece + 1 < sparse.piece_begin.size(); ++piece) {
      for (int token = 0; token < m; ++token) {
        double sum = 0, magnitude = 0;
        for (int i = sparse.piece_begin[piece]; i < sparse.piece_begin[piece + 1]; ++i) {
          const double product = static_cast<double>(decode(number, sparse.values[i])) *
                                 x[token * packed.k + weight.columns[i]];
          sum += product;
          magnitude += std::fabs(product);
        }
        ASSERT_NEAR(sums[piece * m + token], sum, 7 * 0x1p-24 * magnitude);
      }
    }
  }
}

}  // namespace
}  // namespace ptq::cuda
