#include "kernels/round_columns.h"

#include <algorithm>
#include <cmath>

#include <gtest/gtest.h>

#include "columns_case.h"
#include "emulator/emulator.h"
#include "gptq_kernel.h"
#include "ptq/core/cpu.h"

namespace ptq::cuda {
namespace {

ColumnsCase emulated(const ColumnsOptions& options, uint64_t seed) {
  ColumnsCase columns(options);
  const DeviceColumns view = columns.view();
  emulator::Launch launch;
  launch.grid_x = static_cast<int>((options.rows + RoundColumnsShape::kThreads - 1) /
                                   RoundColumnsShape::kThreads);
  launch.threads = RoundColumnsShape::kThreads;
  launch.shared_bytes = RoundColumnsShape::kSharedBytes;
  launch.seed = seed;
  emulator::run(launch, [&] { round_columns_kernel(view); });
  return columns;
}

/// The kernel of the quantizer on this machine's instruction set.
ColumnsCase on_cpu(const ColumnsOptions& options) {
  ColumnsCase columns(options);
  const DeviceColumns view = columns.view();
  const quantizer::kernels::ColumnBlock block{
      view.weight, view.update, view.feedback, view.in,    view.first, view.count,
      view.order,  view.group,  view.pivot,    view.added, view.scale, view.zero,
      view.groups, view.top,    view.q,        view.miss,  view.error};
  run_on_cpu<quantizer::kernels::RoundColumns>(block, 0, options.rows);
  return columns;
}

/// The exact weight of a column as changed by the misses before it, which follow from the codes,
/// and how far off float32 may be: k + 3 roundings and two more of the quotient, each at most
/// 2^-24 of what is summed.
struct Fed {
  double current, doubt;
};
Fed fed_weight(const ColumnsCase& columns, int64_t row, int64_t k) {
  const ColumnsOptions& options = columns.options;
  double sum = columns.weight_at(row, k);
  double size = std::fabs(sum);
  const auto add = [&](double term) {
    sum += term;
    size += std::fabs(term);
  };
  if (!columns.update.empty()) add(columns.update[row * options.count + k]);
  for (int64_t j = 0; j < k; ++j) {
    const double miss = double{columns.weight_at(row, j)} - columns.value_at(row, j);
    add(miss * columns.feedback[j * options.in + k]);
  }
  return {sum, static_cast<double>(k + 5) * 0x1p-24 * size};
}

void expect_same_bits(const ColumnsCase& a, const ColumnsCase& b) {
  EXPECT_EQ(a.q, b.q);
  for (size_t i = 0; i < a.miss.size(); ++i) {
    ASSERT_TRUE(a.miss[i] == b.miss[i] || (std::isnan(a.miss[i]) && std::isnan(b.miss[i]))) << i;
  }
}

TEST(RoundColumns, GivesTheBitsOfThePlainLoopUnderEverySchedule) {
  for (const ColumnsOptions& options : all_columns()) {
    SCOPED_TRACE(options.name());
    ColumnsCase plain(options);
    round_columns_plainly(plain);
    for (uint64_t seed = 1; seed <= 3; ++seed) {
      const ColumnsCase columns = emulated(options, seed);
      expect_same_bits(columns, plain);
      EXPECT_EQ(columns.error, plain.error);
    }
  }
}

// Against float64, whatever the order of sums: each code is the nearest on its grid.
TEST(RoundColumns, EveryCodeIsTheNearestToItsFedWeight) {
  for (const ColumnsOptions& options : all_columns()) {
    SCOPED_TRACE(options.name());
    const ColumnsCase columns = emulated(options, 1);
    for (int64_t row = 0; row < options.rows; ++row) {
      for (int64_t k = 0; k < options.count; ++k) {
        const Fed fed = fed_weight(columns, row, k);
        const int64_t grid = row * columns.groups + columns.group[k];
        const double top = (1 << options.bits) - 1;
        const double zero = columns.zero[grid], scale = columns.scale[grid];
        const double within = std::clamp(fed.current / scale, -zero, top - zero) * scale;
        ASSERT_NEAR(columns.value_at(row, k), within, std::fabs(scale) / 2 + fed.doubt)
            << "row " << row << " column " << k;
      }
    }
  }
}

TEST(RoundColumns, AddsTheErrorOfEachRow) {
  for (const ColumnsOptions& options : all_columns()) {
    SCOPED_TRACE(options.name());
    const ColumnsCase columns = emulated(options, 1);
    for (int64_t row = 0; row < options.rows; ++row) {
      double sum = 0, doubt = 0;
      for (int64_t k = 0; k < options.count; ++k) {
        const Fed fed = fed_weight(columns, row, k);
        const double error = fed.current - columns.value_at(row, k);
        const double miss = double{columns.weight_at(row, k)} - columns.value_at(row, k);
        const double terms[2] = {error * error * columns.pivot[k], miss * miss * columns.added[k]};
        sum += terms[0] - terms[1];
        // float32 sums of 2 `count` terms of two roundings each, and the fed weight's own doubt.
        doubt += static_cast<double>(2 * options.count + 2) * 0x1p-24 * (terms[0] + terms[1]) +
                 2 * std::fabs(error) * fed.doubt * columns.pivot[k];
      }
      ASSERT_NEAR(columns.error[row] - ColumnsCase::kErrorBefore, sum, doubt) << "row " << row;
    }
  }
}

TEST(RoundColumns, WritesNothingBesideItsColumns) {
  for (const ColumnsOptions& options : all_columns()) {
    SCOPED_TRACE(options.name());
    const ColumnsCase columns = emulated(options, 1);
    for (int64_t row = 0; row < options.rows; ++row) {
      for (int64_t i = 0; i < options.in; ++i) {
        const bool solved =
            std::find(columns.order.begin(), columns.order.end(), i) != columns.order.end();
        ASSERT_EQ(columns.q[row * options.in + i] == 255 && options.bits < 8,
                  !solved && options.bits < 8);
        const bool inside = i >= options.first && i < options.first + options.count;
        ASSERT_EQ(std::isnan(columns.miss[row * options.in + i]), !inside);
      }
    }
  }
}

/// Whether the compiler fuses the kernels' a += b c: it does with optimization and the instructions
/// for it.
struct FusingProbe {
  template <int W>
  [[gnu::always_inline]] static void run(const float* values, float* out) {
    quantizer::kernels::Vector<W> sum, factor;
    quantizer::kernels::load(sum, values);
    quantizer::kernels::load(factor, values + W);
    sum += factor * factor[0];
    quantizer::kernels::store(out, sum);
  }
};
bool cpu_kernel_fuses() {
  float values[32], out[16];
  const int lanes = cpu_level() == CpuLevel::kAvx512 ? 16 : cpu_level() == CpuLevel::kAvx2 ? 8 : 4;
  std::fill_n(values, lanes, -(1 + 0x1p-11F));
  std::fill_n(values + lanes, lanes, 1 + 0x1p-12F);
  run_on_cpu<FusingProbe>(static_cast<const float*>(values), static_cast<float*>(out));
  return out[0] == 0x1p-24F;
}

// The quantizer's kernel leaves it to the compiler whether a multiply-add is fused.  Where it is,
// the codes are the same bits; else a row's first different code has a border between two codes
// within the rounding of both.
TEST(RoundColumns, AgreesWithTheCpuKernel) {
  const bool fuses = cpu_kernel_fuses();
  for (const ColumnsOptions& options : all_columns()) {
    SCOPED_TRACE(options.name());
    const ColumnsCase columns = emulated(options, 1), cpu = on_cpu(options);
    if (fuses) expect_same_bits(columns, cpu);
    for (int64_t row = 0; row < options.rows; ++row) {
      int64_t k = 0;
      while (k < options.count && columns.value_at(row, k) == cpu.value_at(row, k))
        ++k;
      if (k == options.count) continue;
      const Fed fed = fed_weight(columns, row, k);
      const double border = (double{columns.value_at(row, k)} + cpu.value_at(row, k)) / 2;
      ASSERT_NEAR(fed.current, border, fed.doubt) << "row " << row << " column " << k;
    }
  }
}

}  // namespace
}  // namespace ptq::cuda
