#include <cmath>
#include <random>

#include <gtest/gtest.h>

#include "emulated_matmul.h"
#include "kernels/small_matmul_kernel.h"
#include "weight_case.h"

namespace ptq::cuda {
namespace {

std::vector<float> random_activations(int64_t m, int64_t k, Number number, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, 1);
  std::vector<float> x(m * k);
  for (float& value : x) {
    value = decode(number, encode(number, normal(random)));
  }
  return x;
}

/// y within the bound of docs/numerics.md of the float64 product of x and the rounded weight:
///   (terms + 2) 2^-23 Σ |x w|, terms = padded_k + splits + pieces,
/// a sum in any order whose additions round or truncate, plus half a unit of a 16-bit result.
void expect_product(const WeightCase& weight, const std::vector<float>& x,
                    const std::vector<float>& y, const SmallMatmulRun& run) {
  const CaseOptions& options = weight.options;
  const std::vector<float> w = weight.dense();
  const auto m = static_cast<int64_t>(x.size()) / options.in;
  const double terms = static_cast<double>(round_up(options.in, kSlabK)) + run.splits + 10;
  const double unit = options.number == Number::kFp16 ? 0x1p-11 : 0x1p-8;
  for (int64_t token = 0; token < m; ++token) {
    for (int64_t channel = 0; channel < options.out; ++channel) {
      double sum = run.bias == nullptr ? 0 : run.bias[channel];
      double magnitude = std::fabs(sum);
      for (int64_t i = 0; i < options.in; ++i) {
        const double product =
            static_cast<double>(x[token * options.in + i]) * w[channel * options.in + i];
        sum += product;
        magnitude += std::fabs(product);
      }
      const double bound = (terms + 2) * 0x1p-23 * magnitude +
                           (run.float_output ? 0 : unit * std::fabs(sum) + 0x1p-25);
      ASSERT_NEAR(y[token * options.out + channel], sum, bound) << token << " " << channel;
    }
  }
}

// Unit vectors pick out single weights: nothing is rounded but the weight, once.
TEST(SmallMatmul, UnitVectorsGiveTheRoundedWeight) {
  int count = 0;
  for (const CaseOptions& options : all_cases()) {
    SCOPED_TRACE(options.name());
    const WeightCase weight(options);
    const HostWeight packed = pack(weight.arrays(), options.number);
    // Every input of small weights, every third of the others.
    std::vector<int64_t> inputs;
    const bool large = options.in > 136;
    for (int64_t i = large ? count % 3 : 0; i < options.in; i += large ? 3 : 1) {
      inputs.push_back(i);
    }
    std::vector<float> x(inputs.size() * options.in, 0.0F);
    for (size_t token = 0; token < inputs.size(); ++token) {
      x[token * options.in + inputs[token]] = 1;
    }
    SmallMatmulRun run;
    run.tokens = 8 << (count + count / 4) % 4;
    run.splits = 1 + count % 3;
    run.float_output = count % 2 == 0;
    run.seed = 7 + count;
    const std::vector<float> y = emulate_small_matmul(packed, x, run);
    for (size_t token = 0; token < inputs.size(); ++token) {
      for (int64_t channel = 0; channel < options.out; ++channel) {
        ASSERT_EQ(y[token * options.out + channel],
                  decode(options.number, weight.rounded(channel, inputs[token])))
            << inputs[token] << " " << channel;
      }
    }
    ++count;
  }
}

TEST(SmallMatmul, AnyNumberOfTokensIsWithinTheBound) {
  uint32_t count = 0;
  for (const int m : {1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65}) {
    CaseOptions options;
    options.out = 64 + 13 * (count % 6);
    options.in = 120 + 64 * (count % 3);
    options.group_size = count % 2 == 0 ? 32 : 128;
    options.number = count % 3 == 0 ? Number::kFp16 : Number::kBf16;
    options.zero_point = options.permuted = count % 4 == 0;
    options.sparse = count % 5 == 0;
    options.seed = count;
    SCOPED_TRACE(std::to_string(m) + " tokens, " + options.name());
    const WeightCase weight(options);
    const HostWeight packed = pack(weight.arrays(), options.number);
    const std::vector<float> x = random_activations(m, options.in, options.number, count);
    SmallMatmulRun run;
    run.tokens = m <= 8 ? 8 : m <= 16 ? 16 : m <= 32 ? 32 : 64;
    run.splits = 1 + static_cast<int>(count % 4);
    run.float_output = count % 2 == 0;
    run.seed = count;
    const std::vector<float> y = emulate_small_matmul(packed, x, run);
    expect_product(weight, x, y, run);
    ++count;
  }
}

// Rows of more than twice the slabs that the pipeline holds, so that every stage is used again.
TEST(SmallMatmul, LongRowsAreWithinTheBound) {
  for (const int tokens : {8, 16, 32, 64}) {
    for (const int64_t group_size : {32, -1}) {
      CaseOptions options;
      options.in = 17 * kSlabK + 5;
      options.group_size = group_size;
      options.zero_point = group_size == 32;
      const WeightCase weight(options);
      const HostWeight packed = pack(weight.arrays(), options.number);
      const std::vector<float> x = random_activations(3, options.in, options.number, 4);
      SmallMatmulRun run;
      run.tokens = tokens;
      run.seed = static_cast<uint64_t>(tokens);
      SCOPED_TRACE(std::to_string(tokens) + " tokens, " + options.name());
      expect_product(weight, x, emulate_small_matmul(packed, x, run), run);
    }
  }
}

TEST(SmallMatmul, BiasIsAdded) {
  CaseOptions options;
  options.out = 70;
  options.sparse = true;
  const WeightCase weight(options);
  const std::vector<float> x = random_activations(3, options.in, options.number, 2);
  std::vector<float> bias;
  for (int i = 0; i < 70; ++i) {
    bias.push_back(static_cast<float>(i - 30) / 8);
  }
  for (const int splits : {1, 2}) {
    SmallMatmulRun run;
    run.splits = splits;
    run.bias = bias.data();
    expect_product(weight, x, emulate_small_matmul(pack(weight.arrays(), options.number), x, run),
                   run);
  }
}

// Which block is last must not matter.
TEST(SmallMatmul, ResultDoesNotDependOnTheSchedule) {
  CaseOptions options;
  options.in = 512;
  const WeightCase weight(options);
  const HostWeight packed = pack(weight.arrays(), options.number);
  const std::vector<float> x = random_activations(5, options.in, options.number, 2);
  SmallMatmulRun run;
  run.splits = 5;
  const std::vector<float> first = emulate_small_matmul(packed, x, run);
  for (run.seed = 2; run.seed < 12; ++run.seed) {
    ASSERT_EQ(emulate_small_matmul(packed, x, run), first);
  }
}

// A token that is not a number, or infinite, must not reach another token's row.
TEST(SmallMatmul, RowsDoNotMix) {
  CaseOptions options;
  options.out = options.in = 128;
  options.sparse = true;
  const WeightCase weight(options);
  const HostWeight packed = pack(weight.arrays(), options.number);
  std::vector<float> x = random_activations(11, options.in, options.number, 2);
  SmallMatmulRun run;
  run.tokens = 16;
  run.splits = 2;
  const std::vector<float> clean = emulate_small_matmul(packed, x, run);
  x[4 * options.in + 77] = NAN;
  x[9 * options.in + 5] = INFINITY;
  const std::vector<float> y = emulate_small_matmul(packed, x, run);
  for (int64_t i = 0; i < static_cast<int64_t>(y.size()); ++i) {
    const int64_t token = i / options.out;
    if (token == 4) {
      ASSERT_TRUE(std::isnan(y[i]));
    } else if (token == 9) {
      ASSERT_FALSE(std::isfinite(y[i]));
    } else {
      ASSERT_EQ(y[i], clean[i]);
    }
  }
}

TEST(SmallMatmul, SharedMemoryFitsEveryGeneration) {
  // What a block may ask for: 99 KB on compute capability 8.6 and 8.9, more on 8.0 and 9.0.
  EXPECT_LE(SmallMatmul8::kSharedBytes, 99 * 1024);
  EXPECT_LE(SmallMatmul16::kSharedBytes, 99 * 1024);
  EXPECT_LE(SmallMatmul32::kSharedBytes, 99 * 1024);
  EXPECT_LE(SmallMatmul64::kSharedBytes, 99 * 1024);
  // Two blocks of the small ones share a multiprocessor with 100 KB.
  EXPECT_LE(2 * (SmallMatmul8::kSharedBytes + 1024), 100 * 1024);
  EXPECT_LE(2 * (SmallMatmul16::kSharedBytes + 1024), 100 * 1024);
}

}  // namespace
}  // namespace ptq::cuda
