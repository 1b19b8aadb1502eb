#include "ptq/sensitivity/summary.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include <ATen/ATen.h>

#include "ptq/core/error.h"
#include "quantile.h"

namespace ptq {
namespace {

double top_share(std::vector<double> scores, double share) {
  for (double& score : scores)
    score = std::abs(score);
  std::sort(scores.begin(), scores.end(), std::greater<>());
  const auto channels = static_cast<double>(scores.size());
  const auto top = static_cast<std::ptrdiff_t>(std::max(1.0, std::ceil(share * channels - 1e-9)));
  const double all = std::accumulate(scores.begin(), scores.end(), 0.0);
  if (all == 0) return std::numeric_limits<double>::quiet_NaN();
  return std::accumulate(scores.begin(), scores.begin() + top, 0.0) / all;
}

}  // namespace

ScoreSummary summarize_scores(const at::Tensor& scores) {
  const at::Tensor values = scores.to(at::kDouble).contiguous();
  if (values.numel() == 0) throw std::logic_error("no scores to summarize");
  const double* data = values.data_ptr<double>();
  std::vector<double> sorted(data, data + values.numel());
  for (size_t j = 0; j < sorted.size(); ++j) {
    if (!std::isfinite(sorted[j]))
      throw NumericalError("the score of channel " + std::to_string(j) + " is " +
                           std::to_string(sorted[j]));
  }
  std::sort(sorted.begin(), sorted.end());
  ScoreSummary summary;
  summary.sum = std::accumulate(sorted.begin(), sorted.end(), 0.0);
  summary.max = sorted.back();
  summary.median = estimator::quantile(sorted, 0.5);
  summary.quantile90 = estimator::quantile(sorted, 0.9);
  summary.quantile99 = estimator::quantile(sorted, 0.99);
  summary.top1_share = top_share(sorted, 0.01);
  return summary;
}

}  // namespace ptq
