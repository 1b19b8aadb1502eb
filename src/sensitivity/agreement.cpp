#include "ptq/sensitivity/agreement.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <string>

#include "ptq/core/error.h"

namespace ptq {
namespace {

using Values = std::vector<double>;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

void require_pairs(const Values& a, const Values& b) {
  if (a.size() != b.size()) throw std::logic_error("agreement of lists of unlike lengths");
  for (size_t i = 0; i < a.size(); ++i) {
    if (!std::isfinite(a[i]) || !std::isfinite(b[i]))
      throw NumericalError("pair " + std::to_string(i) + " of an agreement is not finite: " +
                           std::to_string(a[i]) + ", " + std::to_string(b[i]));
  }
}

std::vector<size_t> sorted_indices(size_t count, const std::function<bool(size_t, size_t)>& less) {
  std::vector<size_t> order(count);
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), less);
  return order;
}

/// Calls `run(begin, end)` for every maximal run of positions that are alike.
template <class Same, class Run>
void for_each_run(size_t count, Same&& same, Run&& run) {
  for (size_t begin = 0; begin < count;) {
    size_t end = begin + 1;
    while (end < count && same(begin, end))
      ++end;
    run(begin, end);
    begin = end;
  }
}

Values mid_ranks(const Values& values) {
  const auto order =
      sorted_indices(values.size(), [&](size_t i, size_t j) { return values[i] < values[j]; });
  Values ranks(values.size());
  for_each_run(
      values.size(), [&](size_t i, size_t j) { return values[order[i]] == values[order[j]]; },
      [&](size_t begin, size_t end) {
        for (size_t i = begin; i < end; ++i)
          ranks[order[i]] = (static_cast<double>(begin) + static_cast<double>(end - 1)) / 2;
      });
  return ranks;
}

/// Centred second moments, from the differences to the means.
struct Moments {
  double mean_a = 0, mean_b = 0, aa = 0, bb = 0, ab = 0;
  double pearson() const {
    if (!(aa > 0) || !(bb > 0)) return kNan;
    return std::clamp(ab / std::sqrt(aa) / std::sqrt(bb), -1.0, 1.0);
  }
};

Moments moments_of(const Values& a, const Values& b) {
  Moments m;
  const auto n = static_cast<double>(a.size());
  m.mean_a = std::accumulate(a.begin(), a.end(), 0.0) / n;
  m.mean_b = std::accumulate(b.begin(), b.end(), 0.0) / n;
  for (size_t i = 0; i < a.size(); ++i) {
    m.aa += (a[i] - m.mean_a) * (a[i] - m.mean_a);
    m.bb += (b[i] - m.mean_b) * (b[i] - m.mean_b);
    m.ab += (a[i] - m.mean_a) * (b[i] - m.mean_b);
  }
  return m;
}

/// Sorts by merging and counts the pairs that were in the wrong order.
double count_inversions(Values& values) {
  Values other(values.size());
  double inversions = 0;
  for (size_t width = 1; width < values.size(); width *= 2) {
    for (size_t begin = 0; begin < values.size(); begin += 2 * width) {
      const size_t middle = std::min(begin + width, values.size());
      const size_t end = std::min(begin + 2 * width, values.size());
      size_t left = begin, right = middle;
      for (size_t to = begin; to < end; ++to) {
        const bool take_left = right == end || (left < middle && !(values[right] < values[left]));
        if (!take_left) inversions += static_cast<double>(middle - left);
        other[to] = values[take_left ? left++ : right++];
      }
    }
    values.swap(other);
  }
  return inversions;
}

/// Pairs inside runs of equal elements.
template <class Same>
double tied_pairs(size_t count, Same&& same) {
  double pairs = 0;
  for_each_run(count, same, [&](size_t begin, size_t end) {
    const auto length = static_cast<double>(end - begin);
    pairs += length * (length - 1) / 2;
  });
  return pairs;
}

/// For every element its chance to be among the `count` largest.
Values top_chances(const Values& values, size_t count) {
  Values sorted = values;
  std::nth_element(sorted.begin(), sorted.begin() + static_cast<std::ptrdiff_t>(count - 1),
                   sorted.end(), std::greater<>());
  const double threshold = sorted[count - 1];
  const auto above =
      std::count_if(values.begin(), values.end(), [&](double value) { return value > threshold; });
  const auto at = std::count(values.begin(), values.end(), threshold);
  const double chance =
      (static_cast<double>(count) - static_cast<double>(above)) / static_cast<double>(at);
  Values chances(values.size());
  for (size_t i = 0; i < values.size(); ++i)
    chances[i] = values[i] > threshold ? 1 : values[i] == threshold ? chance : 0;
  return chances;
}

}  // namespace

double spearman(const Values& a, const Values& b) {
  require_pairs(a, b);
  return moments_of(mid_ranks(a), mid_ranks(b)).pearson();
}

double kendall_tau_b(const Values& a, const Values& b) {
  require_pairs(a, b);
  const size_t n = a.size();
  const auto order = sorted_indices(
      n, [&](size_t i, size_t j) { return a[i] != a[j] ? a[i] < a[j] : b[i] < b[j]; });
  const auto same_a = [&](size_t i, size_t j) { return a[order[i]] == a[order[j]]; };
  const double tied_a = tied_pairs(n, same_a);
  const double tied_both =
      tied_pairs(n, [&](size_t i, size_t j) { return same_a(i, j) && b[order[i]] == b[order[j]]; });
  Values sorted(n);
  for (size_t i = 0; i < n; ++i)
    sorted[i] = b[order[i]];
  // Within a tie of `a` the order of `b` rises, so every inversion is a discordant pair.
  const double discordant = count_inversions(sorted);
  const double tied_b = tied_pairs(n, [&](size_t i, size_t j) { return sorted[i] == sorted[j]; });
  const double pairs = static_cast<double>(n) * (static_cast<double>(n) - 1) / 2;
  const double free_a = pairs - tied_a, free_b = pairs - tied_b;
  if (!(free_a > 0) || !(free_b > 0)) return kNan;
  const double concordant = pairs - tied_a - tied_b + tied_both - discordant;
  return (concordant - discordant) / std::sqrt(free_a) / std::sqrt(free_b);
}

LogFit fit_logs(const Values& predicted, const Values& measured) {
  require_pairs(predicted, measured);
  Values x, y;
  for (size_t i = 0; i < predicted.size(); ++i) {
    if (!(predicted[i] > 0) || !(measured[i] > 0)) continue;
    x.push_back(std::log10(predicted[i]));
    y.push_back(std::log10(measured[i]));
  }
  const Moments m = moments_of(x, y);
  LogFit fit;
  fit.pairs = static_cast<int64_t>(x.size());
  fit.pearson = m.pearson();
  fit.slope = m.aa > 0 ? m.ab / m.aa : kNan;
  fit.intercept = m.mean_b - fit.slope * m.mean_a;
  fit.bias = m.mean_b - m.mean_a;
  return fit;
}

double top_overlap(const Values& a, const Values& b, double share) {
  require_pairs(a, b);
  if (!(share > 0) || share > 1) throw std::logic_error("top_overlap: a share outside (0, 1]");
  if (a.empty()) return kNan;
  const auto count = static_cast<size_t>(std::ceil(share * static_cast<double>(a.size()) - 1e-9));
  const Values in_a = top_chances(a, count), in_b = top_chances(b, count);
  return std::inner_product(in_a.begin(), in_a.end(), in_b.begin(), 0.0) /
         static_cast<double>(count);
}

Agreement agreement(const Values& predicted, const Values& measured) {
  const LogFit fit = fit_logs(predicted, measured);
  Agreement result;
  result.spearman = spearman(predicted, measured);
  result.kendall = kendall_tau_b(predicted, measured);
  result.log_pearson = fit.pearson;
  result.log_slope = fit.slope;
  result.log_intercept = fit.intercept;
  result.log_bias = fit.bias;
  result.top1_overlap = top_overlap(predicted, measured, 0.01);
  result.top5_overlap = top_overlap(predicted, measured, 0.05);
  return result;
}

}  // namespace ptq
