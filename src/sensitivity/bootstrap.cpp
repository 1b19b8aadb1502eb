#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <numeric>
#include <stdexcept>

#include "ptq/sensitivity/agreement.h"
#include "ptq/sensitivity/seeded_bits.h"
#include "quantile.h"

namespace ptq {
namespace {

using Values = std::vector<double>;
using Indices = std::vector<size_t>;

constexpr std::array kMeasures = {&Agreement::spearman,      &Agreement::kendall,
                                  &Agreement::log_pearson,   &Agreement::log_slope,
                                  &Agreement::log_intercept, &Agreement::log_bias,
                                  &Agreement::top1_overlap,  &Agreement::top5_overlap};
static_assert(sizeof(Agreement) == kMeasures.size() * sizeof(double), "a measure is missing");

Values picked(const Values& values, const Indices& indices) {
  Values result;
  result.reserve(indices.size());
  for (const size_t index : indices)
    result.push_back(values[index]);
  return result;
}

Agreement agreement_of(const Values& predicted, const Values& measured, const Indices& indices) {
  return agreement(picked(predicted, indices), picked(measured, indices));
}

std::vector<Indices> members_of(const std::vector<int64_t>& groups, size_t pairs) {
  if (groups.size() != pairs) throw std::logic_error("agreement: a group for every pair, please");
  std::map<int64_t, Indices> members;
  for (size_t i = 0; i < pairs; ++i)
    members[groups[i]].push_back(i);
  std::vector<Indices> result;
  result.reserve(members.size());
  for (auto& entry : members)
    result.push_back(std::move(entry.second));
  return result;
}

Agreement mean_over(const Values& predicted, const Values& measured,
                    const std::vector<Indices>& groups) {
  Agreement sums, weights;
  for (const Indices& group : groups) {
    const Agreement one = agreement_of(predicted, measured, group);
    for (const auto measure : kMeasures) {
      if (std::isnan(one.*measure)) continue;
      sums.*measure += one.*measure * static_cast<double>(group.size());
      weights.*measure += static_cast<double>(group.size());
    }
  }
  for (const auto measure : kMeasures)
    sums.*measure /= weights.*measure;  // 0/0 is the NaN of a measure that no group defines
  return sums;
}

Indices drawn_from(const Indices& group, estimator::SeededBits& bits) {
  Indices result(group.size());
  for (size_t& index : result)
    index = group[static_cast<size_t>(bits.below(static_cast<int64_t>(group.size())))];
  return result;
}

void check_parts(const MeasuredParts& parts, size_t pairs) {
  if (parts.empty()) return;
  if (parts.size() != pairs || parts.front().empty())
    throw std::logic_error("bootstrap: parts for every pair, please");
  for (const Values& own : parts)
    if (own.size() != parts.front().size())
      throw std::logic_error("bootstrap: equally many parts for every pair, please");
}

/// The means of parts drawn with replacement, the same ones for all pairs.
Values drawn_parts(const MeasuredParts& parts, estimator::SeededBits& bits) {
  const size_t count = parts.front().size();
  Values times(count);
  for (size_t i = 0; i < count; ++i)
    ++times[static_cast<size_t>(bits.below(static_cast<int64_t>(count)))];
  Values means;
  means.reserve(parts.size());
  for (const Values& own : parts)
    means.push_back(std::inner_product(own.begin(), own.end(), times.begin(), 0.0) /
                    static_cast<double>(count));
  return means;
}

/// The interval of each measure of `draw()`, called once a resample.
AgreementInterval interval_of(const Bootstrap& bootstrap, const std::function<Agreement()>& draw) {
  if (bootstrap.resamples < 1 || !(bootstrap.level > 0 && bootstrap.level < 1))
    throw std::logic_error("bootstrap without resamples or with a level outside (0, 1)");
  std::array<Values, kMeasures.size()> found;
  for (int64_t i = 0; i < bootstrap.resamples; ++i) {
    const Agreement one = draw();
    for (size_t k = 0; k < kMeasures.size(); ++k) {
      if (!std::isnan(one.*kMeasures[k])) found[k].push_back(one.*kMeasures[k]);
    }
  }
  AgreementInterval interval;
  for (size_t k = 0; k < kMeasures.size(); ++k) {
    std::sort(found[k].begin(), found[k].end());
    const bool none = found[k].empty();
    constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
    const double tail = (1 - bootstrap.level) / 2;
    interval.low.*kMeasures[k] = none ? kNan : estimator::quantile(found[k], tail);
    interval.high.*kMeasures[k] = none ? kNan : estimator::quantile(found[k], 1 - tail);
  }
  return interval;
}

}  // namespace

Agreement agreement_within(const Values& predicted, const Values& measured,
                           const std::vector<int64_t>& groups) {
  return mean_over(predicted, measured, members_of(groups, predicted.size()));
}

AgreementInterval bootstrap_agreement(const Values& predicted, const Values& measured,
                                      const Bootstrap& bootstrap, const MeasuredParts& parts) {
  return bootstrap_agreement_within(predicted, measured, std::vector<int64_t>(predicted.size()),
                                    bootstrap, parts);
}

AgreementInterval bootstrap_agreement_within(const Values& predicted, const Values& measured,
                                             const std::vector<int64_t>& groups,
                                             const Bootstrap& bootstrap,
                                             const MeasuredParts& parts) {
  const std::vector<Indices> members = members_of(groups, predicted.size());
  check_parts(parts, predicted.size());
  // Two streams: the pairs drawn do not depend on whether there are parts.
  estimator::SeededBits bits("bootstrap", bootstrap.seed);
  estimator::SeededBits part_bits("bootstrap parts", bootstrap.seed);
  return interval_of(bootstrap, [&] {
    std::vector<Indices> resample;
    resample.reserve(members.size());
    for (const Indices& group : members)
      resample.push_back(drawn_from(group, bits));
    return mean_over(predicted, parts.empty() ? measured : drawn_parts(parts, part_bits), resample);
  });
}

}  // namespace ptq
