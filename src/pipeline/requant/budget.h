#pragma once
#include <cstdint>
#include <vector>

#include "ptq/pipeline/plan.h"
#include "settings.h"

namespace ptq::detail {

/// How many single weights a model may have beside its dense part.
struct SparseBudget {
  int64_t weights = 0;  ///< of all linears that are quantized
  int64_t outliers = 0, significant = 0;
  int64_t pointer_bytes = 0;  ///< of the rows of all these linears
  int64_t weight_bytes = 0;   ///< of a single weight at the most: its value and its column

  /// Of `count` single weights on disk, at the most; 0 of none.
  int64_t bytes(int64_t count) const {
    return count > 0 ? pointer_bytes + count * weight_bytes : 0;
  }

  /// By the shares of `settings` or, with a target, by what the dense part leaves of it: a single
  /// weight costs its value, its column and its part of the row pointers.  Throws ConfigError,
  /// naming the least target that is possible, where the dense part alone is above it.
  static SparseBudget of(const RequantSettings& settings, const std::vector<LinearSite>& sites,
                         const QuantPlan& plan);
};

}  // namespace ptq::detail
