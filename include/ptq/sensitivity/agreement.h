#pragma once
#include <cstdint>
#include <vector>

namespace ptq {

// How well predictions rank and measure what was measured.  All take two lists of equal length,
// throw std::logic_error if the lengths differ, NumericalError for NaN or infinity, and give NaN
// where a figure is not defined, such as the correlation of a constant.

/// Pearson's correlation of the ranks, equal values sharing their mean rank.
double spearman(const std::vector<double>& a, const std::vector<double>& b);

/// Kendall's tau-b: (concordant − discordant) pairs, over the geometric mean of the numbers of
/// pairs not tied in one list and in the other.  O(n log n) (Knight, JASA 61, 1966).
double kendall_tau_b(const std::vector<double>& a, const std::vector<double>& b);

/// log10 `measured` = intercept + slope · log10 `predicted`, by least squares, over the pairs in
/// which both are positive.
struct LogFit {
  int64_t pairs = 0;  ///< that are positive
  double pearson = 0;
  double slope = 0;      ///< 1: a prediction twice as large means an effect twice as large
  double intercept = 0;  ///< decades, at a prediction of 1, which may be far outside the data
  /// Mean of log10(measured / predicted): decades by which predictions are too low.
  double bias = 0;
};

/// The fit of pairs.
LogFit fit_logs(const std::vector<double>& predicted, const std::vector<double>& measured);

/// The part of the ⌈share · n⌉ largest of one list that is among the largest of the other.  Where
/// several values tie for the last places, each has its chance of one, so that a constant scores
/// `share`.
double top_overlap(const std::vector<double>& a, const std::vector<double>& b, double share);

/// All measures at once.
struct Agreement {
  double spearman = 0, kendall = 0;
  double log_pearson = 0, log_slope = 0, log_intercept = 0, log_bias = 0;
  double top1_overlap = 0, top5_overlap = 0;  ///< of the largest 1 % and 5 %
};

/// The measures of all pairs, pooled.
Agreement agreement(const std::vector<double>& predicted, const std::vector<double>& measured);

/// The means over groups of each measure within a group, weighted by group sizes; groups in which a
/// measure is not defined are left out of its mean.  `groups`: a number for every pair, such as its
/// linear's.  Pooled figures alone flatter, since linears differ in scale.
Agreement agreement_within(const std::vector<double>& predicted,
                           const std::vector<double>& measured, const std::vector<int64_t>& groups);

/// How intervals are found.
struct Bootstrap {
  int64_t resamples = 1000;
  double level = 0.95;  ///< of the interval
  uint64_t seed = 0;
};

/// Percentile intervals (Efron, 1979) of all measures.
struct AgreementInterval {
  Agreement low, high;
};

/// What was measured of each pair on parts of the data, equally many for all pairs; empty: unknown.
using MeasuredParts = std::vector<std::vector<double>>;

/// Of `agreement`, pairs drawn with replacement; resamples in which a measure is not defined are
/// left out of its interval.  With `parts` every resample draws parts, too, the same for all pairs,
/// whose mean takes the place of `measured` (the pigeonhole bootstrap; Owen, Ann. Appl. Stat. 1,
/// 2007).  Throws std::logic_error unless there are resamples, the level is inside (0, 1) and
/// every pair has as many parts.
AgreementInterval bootstrap_agreement(const std::vector<double>& predicted,
                                      const std::vector<double>& measured,
                                      const Bootstrap& bootstrap, const MeasuredParts& parts = {});

/// Of `agreement_within`, pairs drawn with replacement inside every group.
AgreementInterval bootstrap_agreement_within(const std::vector<double>& predicted,
                                             const std::vector<double>& measured,
                                             const std::vector<int64_t>& groups,
                                             const Bootstrap& bootstrap,
                                             const MeasuredParts& parts = {});

}  // namespace ptq
