#pragma once
#include <vector>

namespace ptq::quantizer {

/// A value and how much it counts.
struct WeightedValue {
  double value = 0;   ///< finite
  double weight = 0;  ///< positive
};

/// The `count` centres, rising, that minimize Σ weight · (value − nearest centre)²: the optimum,
/// which exists in one dimension because clusters are runs of the sorted values.  Fewer than
/// `count` where there are fewer distinct values: then these.  O(count · n log n) for n of them.
std::vector<double> weighted_kmeans(std::vector<WeightedValue> values, int count);

}  // namespace ptq::quantizer
