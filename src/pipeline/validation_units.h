#pragma once
#include <string>
#include <vector>

#include "unit_predictions.h"

namespace ptq::detail {

/// Columns that are perturbed together.
struct Unit {
  struct Part {
    size_t linear = 0;  ///< place among LinearPredictions
    ColumnRange columns;
  };
  std::string kind, name;
  int64_t block = 0;  ///< the first that it changes
  std::vector<Part> parts;
  LinearPredictions::Table predictions;  ///< by scheme, then estimator
};

/// All units of the kinds that `request` names, by block, and one of kind "noise" for every block:
/// all of its linears, to be changed so little that rounding is all that shows.
std::vector<Unit> units_of(const ValidationRequest& request,
                           const std::vector<LinearPredictions>& linears);

/// Random subsets of whole linears, of 2, 4, 8, … and of all, where single linears are measured.
std::vector<Unit> subsets_of(const ValidationRequest& request,
                             const std::vector<LinearPredictions>& linears);

}  // namespace ptq::detail
