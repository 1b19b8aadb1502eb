#include "outlier_shares.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace ptq::detail {

std::vector<double> outlier_shares(const std::vector<double>& importance,
                                   const std::vector<int64_t>& sizes, double budget,
                                   double exponent) {
  double largest = 0, weights = 0;
  for (const double one : importance) {
    if (!(one >= 0) || !std::isfinite(one))
      throw std::logic_error("outlier_shares: an importance must be finite and not negative");
    largest = std::max(largest, one);
  }
  for (const int64_t size : sizes)
    weights += static_cast<double>(size);
  std::vector<double> relative;
  for (const double one : importance)
    relative.push_back(exponent == 0 || largest == 0 ? 1 : std::pow(one / largest, exponent));
  std::vector<double> shares(importance.size(), 0);
  const auto detached = [&](double factor) {
    double sum = 0;
    for (size_t i = 0; i < shares.size(); ++i) {
      shares[i] = std::min(kMostOutliers, factor * relative[i]);
      sum += shares[i] * static_cast<double>(sizes[i]);
    }
    return sum;
  };
  // What is detached rises with the factor: bisection to the last bits of a double.
  double low = 0, high = 1;
  while (detached(high) < budget * weights && high < 1e300)
    high *= 2;
  for (int step = 0; step < 200 && low < high; ++step) {
    const double middle = low + (high - low) / 2;
    (detached(middle) < budget * weights ? low : high) = middle;
  }
  detached(high);
  return shares;
}

}  // namespace ptq::detail
