#pragma once
#include <vector>

namespace ptq::estimator {

/// The quantile at `share` in [0, 1] of sorted values, not empty, linear between neighbours (type 7
/// of Hyndman and Fan, 1996).
inline double quantile(const std::vector<double>& sorted, double share) {
  const double place = share * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(place);
  if (below + 1 >= sorted.size()) return sorted.back();
  const double part = place - static_cast<double>(below);
  return sorted[below] + part * (sorted[below + 1] - sorted[below]);
}

}  // namespace ptq::estimator
