#pragma once
#include <ATen/core/Tensor.h>

namespace ptq {

/// The scores of a linear in a few figures.
struct ScoreSummary {
  double sum = 0, max = 0;
  double median = 0, quantile90 = 0, quantile99 = 0;  ///< linear between neighbours
  /// Σ|score| of the 1 % of channels with the largest |score|, at least one, divided by that of
  /// all; NaN if all scores are 0.
  double top1_share = 0;
};

/// Summarizes `scores`, float64 [channels], not empty.  Throws NumericalError, naming the channel,
/// if one is NaN or infinite.
ScoreSummary summarize_scores(const at::Tensor& scores);

}  // namespace ptq
