#pragma once
#include <cstdint>
#include <utility>
#include <vector>

#include "ptq/eval/evaluate.h"

namespace ptq {

/// What the sweep found for every scored token, in the order of the windows.
struct TokenScores {
  std::vector<double> nll;            ///< nats, under the model
  std::vector<double> reference_nll;  ///< nats, under the reference; empty without one
  std::vector<double> kl;             ///< nats, KL(reference ‖ model)
  std::vector<uint8_t> same_top1;
};

/// Standard error of a mean over tokens that come in windows of `counts` tokens, from the spread of
/// the windows' means: with sums s_i, counts c_i and mean m = Σs/Σc, the ratio estimator
/// sqrt(n/(n-1) Σ (s_i - m c_i)²) / Σc (Cochran, Sampling Techniques, 3rd ed., eq. 6.13).  NaN for
/// one window.
double clustered_standard_error(const std::vector<double>& values,
                                const std::vector<int64_t>& counts);

/// Standard error of the mean of `values` as llama-perplexity computes it: sqrt((mean of squares -
/// square of the mean) / (n - 1)).  NaN for one value.
double token_standard_error(const std::vector<double>& values);

/// The quantile at `percent` of sorted values, linear between neighbours (type 7 of Hyndman and
/// Fan, 1996).
double quantile(const std::vector<double>& sorted, double percent);

PerplexityResult summarize_perplexity(const WindowPlan& plan, const std::vector<double>& nll);
KlResult summarize_kl(const WindowPlan& plan, const TokenScores& scores);

}  // namespace ptq
