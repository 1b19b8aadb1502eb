#pragma once
#include <cstdint>
#include <vector>

namespace ptq::detail {

/// No linear has more than this part of its weights detached as outliers.
constexpr double kMostOutliers = 0.05;

/// The part of each linear's weights to detach as outliers: proportional to (its `importance` /
/// the largest)^`exponent`, at most kMostOutliers, so that of all weights the part `budget` is
/// detached.  `sizes`: weights of each linear.  Where all linears are at their limit, the budget is
/// not reached.  Exponent 0 gives all the same.  The form is ours: arXiv 2503.01901 says that its
/// algorithm 1 finds a ratio for each layer by its average sensitivity, and not how.  Throws
/// std::logic_error for an importance that is negative or not finite.
std::vector<double> outlier_shares(const std::vector<double>& importance,
                                   const std::vector<int64_t>& sizes, double budget,
                                   double exponent);

}  // namespace ptq::detail
