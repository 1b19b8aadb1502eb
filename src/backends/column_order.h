#pragma once
#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "cpu_layout.h"

namespace ptq::backend {

/// Input features sorted by group, each group padded to whole words.
struct ColumnOrder {
  std::vector<int32_t> source;     ///< [positions] the feature at each; -1: padding
  std::vector<int32_t> position;   ///< [in] its inverse
  std::vector<Run> runs;           ///< of all positions, in order
  std::vector<int64_t> run_begin;  ///< [stretches + 1] the runs of each stretch of kDepth
  bool in_place = false;           ///< every position is its own feature

  int64_t positions() const { return static_cast<int64_t>(source.size()); }
  int64_t stretches() const { return static_cast<int64_t>(run_begin.size()) - 1; }
};

/// The order for `group_of`, int32 [in] of 0 … groups − 1.
ColumnOrder column_order(const at::Tensor& group_of, int64_t groups);

}  // namespace ptq::backend
