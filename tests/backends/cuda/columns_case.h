#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "ptq/backends/device_columns.h"

namespace ptq::cuda {

/// What a random block of columns for a test looks like.
struct ColumnsOptions {
  int64_t rows = 1, in = 16;
  int64_t first = 0, count = 16;  ///< the block in solving order
  int64_t group_size = 16;
  int bits = 4;
  bool zero_point = false;
  bool permuted = false;  ///< solving order is not the weight's
  uint32_t seed = 1;

  std::string name() const;
};

/// A random block, what rounding it needs, and room for the result.  On and below R's diagonal and
/// beside the block there is NaN: nobody may use that.
struct ColumnsCase {
  explicit ColumnsCase(const ColumnsOptions& case_options);

  ColumnsOptions options;
  int64_t groups = 0;
  std::vector<float> weight, update, feedback, pivot, added, scale;
  std::vector<int64_t> order;
  std::vector<int32_t> group;
  std::vector<uint8_t> zero;

  std::vector<uint8_t> q;     ///< [rows, in], 255 at first
  std::vector<float> miss;    ///< [rows, in], NaN at first
  std::vector<double> error;  ///< [rows], kErrorBefore at first
  static constexpr double kErrorBefore = 1.5;

  /// Valid as long as this object.
  DeviceColumns view();

  /// The weight of row `row` at the block's column `i`.
  float weight_at(int64_t row, int64_t i) const { return weight[row * options.in + order[i]]; }
  /// What its code stands for, from the arrays alone.
  float value_at(int64_t row, int64_t i) const;
};

/// Rounds a case in the plainest way: one row and column after the other, float32, a fused
/// multiply-add a term.
void round_columns_plainly(ColumnsCase& columns);

/// Blocks with and without an update, of few and all columns, odd numbers of rows, several groups,
/// in order and permuted, symmetric and not, of 2 to 8 bits.
std::vector<ColumnsOptions> all_columns();

}  // namespace ptq::cuda
