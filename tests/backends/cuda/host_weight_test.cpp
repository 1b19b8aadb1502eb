#include "host_weight.h"

#include <numeric>

#include <gtest/gtest.h>
#include <omp.h>

#include "ptq/core/error.h"
#include "weight_case.h"

namespace ptq::cuda {
namespace {

TEST(HostWeight, UnpackInvertsPack) {
  for (const CaseOptions& options : all_cases()) {
    SCOPED_TRACE(options.name());
    const WeightCase weight(options);
    const HostWeight packed = pack(weight.arrays(), options.number);
    for (int64_t channel = 0; channel < options.out; ++channel) {
      for (int64_t position = 0; position < options.in; ++position) {
        const int64_t input = packed.order.empty() ? position : packed.order[position];
        const int64_t group = position / packed.group_size;
        ASSERT_EQ(group, weight.group_of[input]);
        const int zero = packed_zero(packed, channel, group);
        ASSERT_EQ(zero, options.zero_point ? weight.zeros[channel * weight.groups + group] : 8);
        ASSERT_EQ(packed_scale(packed, channel, group),
                  weight.scales[channel * weight.groups + group]);
        const auto row = weight.columns.begin();
        const bool replaced =
            options.sparse && std::binary_search(row + weight.row_begin[channel],
                                                 row + weight.row_begin[channel + 1], input);
        ASSERT_EQ(packed_code(packed, channel, position),
                  replaced ? zero : weight.codes[channel * options.in + input]);
      }
    }
  }
}

TEST(HostWeight, PaddingIsExactlyZero) {
  for (const CaseOptions& options : all_cases()) {
    const HostWeight packed = pack(WeightCase(options).arrays(), options.number);
    for (int64_t channel = 0; channel < packed.padded_n; ++channel) {
      for (int64_t position = 0; position < packed.padded_k; ++position) {
        if (channel < packed.n && position < packed.k) continue;
        const int64_t group = position / packed.group_size;
        const int steps =
            packed_code(packed, channel, position) - packed_zero(packed, channel, group);
        ASSERT_EQ(static_cast<float>(steps) * packed_scale(packed, channel, group), 0)
            << options.name() << " " << channel << " " << position;
      }
    }
  }
}

TEST(HostWeight, IsTheSameWithAnyNumberOfThreads) {
  CaseOptions options;
  options.out = 1000;
  options.in = 1096;
  options.sparse = options.permuted = options.zero_point = true;
  const WeightCase weight(options);
  const int before = omp_get_max_threads();
  omp_set_num_threads(1);
  const HostWeight alone = pack(weight.arrays(), options.number);
  for (const int threads : {2, 7, 64}) {
    omp_set_num_threads(threads);
    EXPECT_EQ(pack(weight.arrays(), options.number).codes, alone.codes) << threads;
  }
  omp_set_num_threads(before);
}

TEST(HostWeight, SparsePiecesPartitionTheRows) {
  CaseOptions options;
  options.out = 40;
  options.in = 257;
  options.sparse = options.permuted = true;
  const WeightCase weight(options);
  const HostWeight packed = pack(weight.arrays(), options.number);
  const SparsePieces& sparse = packed.sparse;
  ASSERT_EQ(sparse.first_piece.size(), 41U);
  ASSERT_GT(sparse.piece_begin.size(), 41U);
  for (int64_t channel = 0; channel < options.out; ++channel) {
    int32_t next = weight.row_begin[channel];
    for (int p = sparse.first_piece[channel]; p < sparse.first_piece[channel + 1]; ++p) {
      ASSERT_EQ(sparse.piece_begin[p], next);
      next = sparse.piece_begin[p + 1];
      ASSERT_LE(next - sparse.piece_begin[p], kPieceValues);
    }
    ASSERT_EQ(next, weight.row_begin[channel + 1]);
  }
  for (size_t i = 0; i < weight.columns.size(); ++i) {
    EXPECT_EQ(packed.order[sparse.positions[i]], weight.columns[i]);
    EXPECT_EQ(sparse.values[i], encode(options.number, weight.values[i]));
  }
}

TEST(HostWeight, NumberIsTheOneThatHoldsEveryScale) {
  CaseOptions options;
  WeightCase weight(options);
  std::fill(weight.scales.begin(), weight.scales.end(), 0.5F);
  EXPECT_EQ(exact_number(weight.arrays()), Number::kBf16);
  weight.scales.back() = 0x1.004p0F;
  EXPECT_EQ(exact_number(weight.arrays()), Number::kFp16);
  weight.scales.front() = 0x1p-100F;
  EXPECT_EQ(exact_number(weight.arrays()), std::nullopt);
  EXPECT_THROW(pack(weight.arrays(), Number::kFp16), UnsupportedError);
  EXPECT_THROW(pack(weight.arrays(), Number::kBf16), UnsupportedError);
}

TEST(HostWeight, RefusesGroupsTheKernelsDoNotTake) {
  EXPECT_EQ(unsupported_group(-1), std::nullopt);
  EXPECT_EQ(unsupported_group(32), std::nullopt);
  EXPECT_EQ(unsupported_group(256), std::nullopt);
  for (const int64_t group_size : {0, 16, 48, 192, -2}) {
    EXPECT_NE(unsupported_group(group_size), std::nullopt) << group_size;
  }
  CaseOptions options;
  options.group_size = 48;
  EXPECT_THROW(pack(WeightCase(options).arrays(), options.number), UnsupportedError);
  options.group_size = 32;
  WeightCase weight(options);
  WeightArrays arrays = weight.arrays();
  arrays.groups = 3;
  EXPECT_THROW(pack(arrays, options.number), UnsupportedError);
  arrays = weight.arrays();
  arrays.group_of = weight.group_of.data();
  EXPECT_TRUE(pack(arrays, options.number).order.empty());
  weight.group_of[0] = 1;  // 31 inputs in group 0, 33 in group 1
  EXPECT_THROW(pack(arrays, options.number), UnsupportedError);
  weight.group_of[0] = 2;
  EXPECT_THROW(pack(arrays, options.number), UnsupportedError);
}

}  // namespace
}  // namespace ptq::cuda
