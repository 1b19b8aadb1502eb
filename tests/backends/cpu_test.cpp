#include "ptq/core/cpu.h"

#include <map>
#include <set>
#include <string>

#include <ATen/ATen.h>
#include <gmock/gmock.h>

#include "../src/backends/column_order.h"
#include "../src/backends/kernels/table.h"
#include "contract/backend_contract.h"
#include "ptq/core/error.h"
#include "ptq/model/matmul.h"

namespace ptq::backend {
namespace {

using ::testing::ElementsAre;

TEST(CpuLayout, EveryCodeHasItsOwnBits) {
  constexpr int64_t kOut = 64, kPositions = 72, kWords = kPositions / kWordCodes;
  std::set<int64_t> taken;
  for (int64_t out = 0; out < kOut; ++out)
    for (int64_t position = 0; position < kPositions; ++position) {
      const int64_t bit = word_index(out, position, kWords) * 32 + bit_of(position);
      EXPECT_TRUE(bit >= 0 && bit < kOut * kPositions * 4 && bit % 4 == 0);
      taken.insert(bit);
    }
  EXPECT_EQ(taken.size(), static_cast<size_t>(kOut * kPositions));
}

TEST(CpuLayout, EveryScaleHasItsOwnPlace) {
  constexpr int64_t kOut = 48, kGroups = 5;
  std::set<int64_t> taken;
  for (int64_t out = 0; out < kOut; ++out)
    for (int64_t group = 0; group < kGroups; ++group)
      taken.insert(scale_index(out, group, kGroups));
  EXPECT_EQ(taken.size(), static_cast<size_t>(kOut * kGroups));
  EXPECT_EQ(*taken.rbegin(), kOut * kGroups - 1);
}

TEST(CpuLayout, ARegisterOfOutputsIsContiguousAndALine) {
  for (int64_t out = 0; out < 48; ++out) {
    EXPECT_EQ(word_index(out, 8, 9), word_index(out / 16 * 16, 8, 9) + out % 16);
    EXPECT_EQ(scale_index(out, 3, 5), scale_index(out / 16 * 16, 3, 5) + out % 16);
  }
}

TEST(ColumnOrder, LeavesWholeWordsInPlace) {
  const ColumnOrder order = column_order(contiguous_groups({4, 32, true}, 2080), 65);
  EXPECT_TRUE(order.in_place);
  EXPECT_EQ(order.positions(), 2080);
  EXPECT_EQ(order.stretches(), 3);
  EXPECT_THAT(order.run_begin, ElementsAre(0, 32, 64, 65));
}

TEST(ColumnOrder, SortsByGroupAndPadsGroupsToWords) {
  const ColumnOrder order = column_order(at::tensor({1, 0, 1, 0, 0, 3}, at::kInt), 4);
  EXPECT_FALSE(order.in_place);
  EXPECT_THAT(order.source, ElementsAre(1, 3, 4, -1, -1, -1, -1, -1, 0, 2, -1, -1, -1, -1, -1, -1,
                                        5, -1, -1, -1, -1, -1, -1, -1));
  EXPECT_THAT(order.position, ElementsAre(8, 0, 9, 1, 2, 16));
  ASSERT_EQ(order.runs.size(), 3U);
  EXPECT_EQ(order.runs[2].group, 3);
  EXPECT_EQ(order.runs[2].begin, 2);
}

TEST(ColumnOrder, CutsAGroupWhereAStretchEnds) {
  const ColumnOrder order = column_order(contiguous_groups({4, 768, true}, 1536), 2);
  ASSERT_EQ(order.runs.size(), 3U);
  EXPECT_EQ(order.runs[1].group, 1);
  EXPECT_EQ(order.runs[1].end, kDepth / kWordCodes);
  EXPECT_THAT(order.run_begin, ElementsAre(0, 2, 3));
}

TEST(Cpu, RefusesOtherWidthsWithTheReason) {
  const auto cpu = backends().make("cpu");
  const auto reason = cpu->unsupported({{3, 64, true}, 8, 64, false, false});
  ASSERT_TRUE(reason.has_value());
  EXPECT_THAT(*reason, ::testing::HasSubstr("3-bit"));
}

TEST(Cpu, RefusesABrokenSparsePart) {
  const BackendCase made{{4, 32, true}, 16, 64, false, true, false};
  SparseWeight sparse = random_values(made);
  sparse.columns.data_ptr<int32_t>()[0] = 64;
  for (const char* name : {"cpu", "reference"})
    EXPECT_THROW(backends().make(name)->pack(random_weight(made), &sparse), std::logic_error);
}

TEST(Cpu, HoldsHalfAByteAWeight) {
  const BackendCase made{{4, 128, false}, 256, 1024, false, false, false};
  const auto packed = backends().make("cpu")->pack(random_weight(made), nullptr);
  // A scale of two bytes and a zero point of one for each group, the order of 1024 features.
  EXPECT_EQ(packed->bytes(), 256 * 1024 / 2 + 256 * 8 * 3 + 2 * 1024 * 4 + 8 * 12);
}

TEST(Cpu, HoldsTwoCodesOfATableInAByte) {
  const auto bytes = [](int bits, int64_t in) {
    const BackendCase made{{bits, -1, true, true}, 64, in, false, false, false};
    return backends().make("cpu")->pack(random_weight(made), nullptr)->bytes();
  };
  EXPECT_EQ(bytes(3, 1024), 64 * 1024 / 2 + 64 * 8 * 4);
  EXPECT_EQ(bytes(4, 33), 64 * 17 + 64 * 16 * 4);
  EXPECT_EQ(bytes(5, 33), 64 * 33 + 64 * 32 * 4);
}

/// A symmetric weight [out, 32 · groups] of random codes with these scales, [out, groups].
QuantizedTensor with_scales(const at::Tensor& scales) {
  QuantizedTensor weight =
      random_weight({{4, 32, true}, scales.size(0), scales.size(1) * 32, false, false, false});
  weight.scale = scales;
  return weight;
}

/// Whether the first weight of every group comes back as it is, alone and among others.
bool gives_first_weights(const QuantizedTensor& weight) {
  const auto packed = backends().make("cpu")->pack(weight, nullptr);
  const int64_t groups = weight.scale.size(1);
  const at::Tensor first = at::arange(groups) * 32;
  const at::Tensor x = at::eye(weight.in_features(), at::kFloat).index_select(0, first);
  const at::Tensor expected = weight.dequantize().t().index_select(0, first);
  at::Tensor together = at::empty({groups, weight.out_features()}), alone = together.clone();
  packed->multiply(x, together);
  for (int64_t i = 0; i < groups; ++i)
    packed->multiply(x.narrow(0, i, 1), alone.narrow(0, i, 1));
  return together.equal(expected) && alone.equal(expected);
}

TEST(Cpu, HoldsEveryScaleOfSixteenBits) {
  for (const at::ScalarType type : {at::kHalf, at::kBFloat16}) {
    const at::Tensor all = at::arange(1 << 16, at::kInt).to(at::kShort).view(type).to(at::kFloat);
    // Finite ones whose products with codes are: subnormal numbers and both zeros included.
    const at::Tensor scales = all.masked_select(all.abs() < 0x1p100F);
    const int64_t groups = 32, count = scales.numel() / groups * groups;
    const QuantizedTensor weight = with_scales(scales.narrow(0, 0, count).view({-1, groups}));
    EXPECT_TRUE(gives_first_weights(weight)) << type;
  }
}

TEST(Cpu, HoldsScalesThatNeedMore) {
  const at::Tensor scales = at::rand({48, 4}) * 0.01 + 0.001;
  EXPECT_TRUE(gives_first_weights(with_scales(scales)));
  const auto bytes = [](const at::Tensor& values) {
    return backends().make("cpu")->pack(with_scales(values), nullptr)->bytes();
  };
  // Padded to 64 outputs.
  EXPECT_EQ(bytes(scales) - bytes(scales.to(at::kHalf).to(at::kFloat)), 64 * 4 * 2);
}

TEST(Cpu, HasTheBitsOfTheDenseProduct) {
  for (const int64_t in : {64, 1024, 2304})
    for (const QuantScheme& scheme : {QuantScheme{4, 64, false}, QuantScheme{3, -1, true, true}}) {
      const BackendCase made{scheme, 100, in, false, true, false};
      const QuantizedTensor weight = random_weight(made);
      const SparseWeight sparse = random_values(made);
      for (const int64_t rows : {1, 6, 7, 150}) {
        const at::Tensor x = at::randn({rows, in}), y = at::empty({rows, 100});
        backends().make("cpu")->pack(weight, nullptr)->multiply(x, y);
        EXPECT_TRUE(at::equal(y, matmul_transposed(x, weight.dequantize(), {})));
        backends().make("cpu")->pack(weight, &sparse)->multiply(x, y);
        EXPECT_TRUE(at::equal(y, matmul_transposed(x, dense_weight(weight, sparse), {})));
      }
    }
}

TEST(Cpu, RunsTheInstructionSetThatWasAskedFor) {
  const std::map<CpuLevel, std::string> names = {
      {CpuLevel::kBaseline, "baseline"}, {CpuLevel::kAvx2, "AVX2"}, {CpuLevel::kAvx512, "AVX-512"}};
  EXPECT_EQ(kernel_table().name, names.at(cpu_level()));
}

}  // namespace
}  // namespace ptq::backend
