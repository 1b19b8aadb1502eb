// Least cost of the first j values in m clusters: D(m, j) = min over i < j of D(m − 1, i) +
// cost(i, j).  The best i never falls as j rises, so that each layer is found by halving
// (Ckmeans.1d.dp, Wang and Song 2011, with the monotone splits of Grønlund et al.,
// arXiv:1701.07204).
#include "weighted_kmeans.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace ptq::quantizer {
namespace {

/// Sorts and merges what is equal.
void merge_equal(std::vector<WeightedValue>& values) {
  std::sort(values.begin(), values.end(),
            [](const WeightedValue& a, const WeightedValue& b) { return a.value < b.value; });
  size_t last = 0;
  for (size_t i = 1; i < values.size(); ++i) {
    if (values[i].value == values[last].value)
      values[last].weight += values[i].weight;
    else
      values[++last] = values[i];
  }
  if (!values.empty()) values.resize(last + 1);
}

class Clustering {
 public:
  Clustering(const std::vector<WeightedValue>& values, int count)
      : values_(values), size_(static_cast<int32_t>(values.size())), count_(count), sums_(1) {
    // About the mean, so that the differences of squares below keep their digits.
    double weight = 0, sum = 0;
    for (const WeightedValue& one : values)
      weight += one.weight, sum += one.weight * one.value;
    for (const WeightedValue& one : values) {
      const double off = one.value - sum / weight;
      const Sums& before = sums_.back();
      sums_.push_back({before.weight + one.weight, before.first + one.weight * off,
                       before.second + one.weight * off * off});
    }
  }

  std::vector<double> centers() {
    costs_.resize(sums_.size());
    for (int32_t j = 0; j <= size_; ++j)
      costs_[static_cast<size_t>(j)] = cost(0, j);
    for (int m = 1; m < count_; ++m) {
      next_.assign(sums_.size(), std::numeric_limits<double>::infinity());
      splits_.emplace_back(sums_.size(), 0);
      // m clusters have at least m values, and so has every one after them.
      solve(m + 1, size_, m, size_ - 1);
      costs_.swap(next_);
    }
    std::vector<double> centers(static_cast<size_t>(count_));
    int32_t end = size_;
    for (int m = count_ - 1; m >= 0; --m) {
      const int32_t begin =
          m == 0 ? 0 : splits_[static_cast<size_t>(m) - 1][static_cast<size_t>(end)];
      centers[static_cast<size_t>(m)] = mean(begin, end);
      end = begin;
    }
    return centers;
  }

 private:
  struct Sums {
    double weight = 0, first = 0, second = 0;
  };

  /// Of one cluster of the values begin … end − 1.
  double cost(int32_t begin, int32_t end) const {
    const Sums &a = sums_[static_cast<size_t>(begin)], &b = sums_[static_cast<size_t>(end)];
    const double weight = b.weight - a.weight, first = b.first - a.first;
    // What is lighter than the rounding of the sums costs nothing.
    if (!(weight > 0)) return 0;
    return std::max(0.0, b.second - a.second - first * first / weight);
  }

  /// Directly, for a light cluster beside heavy ones has few digits in the differences of sums.
  double mean(int32_t begin, int32_t end) const {
    double weight = 0, sum = 0;
    for (int32_t i = begin; i < end; ++i) {
      const WeightedValue& one = values_[static_cast<size_t>(i)];
      weight += one.weight, sum += one.weight * one.value;
    }
    return sum / weight;
  }

  /// The next layer at first … last, whose splits lie in low … high.
  void solve(int32_t first, int32_t last, int32_t low, int32_t high) {
    if (first > last) return;
    const int32_t j = first + (last - first) / 2;
    double best = std::numeric_limits<double>::infinity();
    int32_t split = low;
    for (int32_t i = low; i <= std::min(high, j - 1); ++i) {
      const double total = costs_[static_cast<size_t>(i)] + cost(i, j);
      if (total < best) best = total, split = i;
    }
    next_[static_cast<size_t>(j)] = best;
    splits_.back()[static_cast<size_t>(j)] = split;
    solve(first, j - 1, low, split);
    solve(j + 1, last, split, high);
  }

  const std::vector<WeightedValue>& values_;
  int32_t size_;
  int count_;
  std::vector<Sums> sums_;                    ///< of the first j values
  std::vector<double> costs_, next_;          ///< of the first j values, in m and m + 1 clusters
  std::vector<std::vector<int32_t>> splits_;  ///< where the last of m + 2 clusters begins
};

}  // namespace

std::vector<double> weighted_kmeans(std::vector<WeightedValue> values, int count) {
  merge_equal(values);
  if (values.size() > static_cast<size_t>(count)) return Clustering(values, count).centers();
  std::vector<double> centers;
  for (const WeightedValue& one : values)
    centers.push_back(one.value);
  return centers;
}

}  // namespace ptq::quantizer
