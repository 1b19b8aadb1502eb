#include "unit_predictions.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

#include <ATen/ATen.h>

#include "ptq/sensitivity/rounding.h"

namespace ptq::detail {
namespace {

/// Columns of a group where a scheme has one scale a row.
constexpr int64_t kRowGroup = 128;

uint64_t hash_of(const std::string& name) {
  uint64_t hash = 0xCBF29CE484222325U;  // FNV-1a
  for (const char letter : name)
    hash = (hash ^ static_cast<unsigned char>(letter)) * 0x100000001B3U;
  return hash;
}

std::mt19937_64 random_for(const std::string& name, uint64_t seed) {
  return std::mt19937_64(seed ^ hash_of(name));
}

/// Puts `count` of `places`, drawn without replacement, in front.
void draw_to_front(std::vector<int64_t>& places, size_t count, std::mt19937_64& random) {
  // No std::shuffle and no distribution: their results differ between standard libraries.
  for (size_t i = 0; i < count; ++i)
    std::swap(places[i], places[i + random() % (places.size() - i)]);
}

std::vector<ColumnRange> cut(int64_t in, int64_t width) {
  std::vector<ColumnRange> ranges;
  for (int64_t first = 0; first < in; first += width)
    ranges.push_back({first, std::min(width, in - first)});
  return ranges;
}

double sum_of(const at::Tensor& values, ColumnRange range) {
  return values.narrow(0, range.first, range.count).sum().item<double>();
}

}  // namespace

void Prediction::add(const Prediction& other) {
  score += other.score;
  score_error += other.score_error;
  if (!predicted || !other.predicted)
    predicted.reset();
  else
    *predicted += *other.predicted;
}

at::Tensor only_columns(const at::Tensor& delta, ColumnRange range) {
  at::Tensor result = at::zeros_like(delta);
  result.narrow(1, range.first, range.count).copy_(delta.narrow(1, range.first, range.count));
  return result;
}

std::vector<int64_t> stratified_sample(const std::vector<double>& predictor, int64_t count,
                                       const std::string& name, uint64_t seed) {
  const auto all = static_cast<int64_t>(predictor.size());
  std::vector<int64_t> ranked(predictor.size());
  std::iota(ranked.begin(), ranked.end(), 0);
  if (count >= all) return ranked;
  std::stable_sort(ranked.begin(), ranked.end(), [&](int64_t a, int64_t b) {
    return predictor[static_cast<size_t>(a)] > predictor[static_cast<size_t>(b)];
  });
  const int64_t top = std::min(count, (all + 99) / 100), rest = all - top;
  std::vector<int64_t> chosen(ranked.begin(), ranked.begin() + top), others;
  std::mt19937_64 random = random_for(name, seed);
  for (int64_t tenth = 0; tenth < 10; ++tenth) {
    std::vector<int64_t> stratum(ranked.begin() + top + rest * tenth / 10,
                                 ranked.begin() + top + rest * (tenth + 1) / 10);
    const int64_t wanted = (count - top) * (tenth + 1) / 10 - (count - top) * tenth / 10;
    const auto drawn =
        std::min<std::ptrdiff_t>(static_cast<std::ptrdiff_t>(stratum.size()), wanted);
    draw_to_front(stratum, static_cast<size_t>(drawn), random);
    chosen.insert(chosen.end(), stratum.begin(), stratum.begin() + drawn);
    others.insert(others.end(), stratum.begin() + drawn, stratum.end());
  }
  // Where tenths are shorter than what is wanted of them, others make up for it.
  const int64_t missing = count - static_cast<int64_t>(chosen.size());
  draw_to_front(others, static_cast<size_t>(missing), random);
  chosen.insert(chosen.end(), others.begin(), others.begin() + missing);
  std::sort(chosen.begin(), chosen.end());
  return chosen;
}

std::vector<int64_t> random_places(int64_t all, int64_t count, const std::string& name,
                                   uint64_t seed) {
  std::vector<int64_t> places(static_cast<size_t>(all));
  std::iota(places.begin(), places.end(), 0);
  std::mt19937_64 random = random_for(name, seed);
  draw_to_front(places, static_cast<size_t>(count), random);
  places.resize(static_cast<size_t>(count));
  std::sort(places.begin(), places.end());
  return places;
}

/// What the estimators say of a linear's single columns under one scheme.
struct UnitPredictions::Asked {
  const std::vector<at::Tensor>& scores;
  at::Tensor delta;                    ///< float32 [out, in]
  at::Tensor error;                    ///< float64 [in]: Σ_o Δ_oj²
  std::vector<at::Tensor> by_channel;  ///< float64 [in] by estimator, or undefined
};

UnitPredictions::UnitPredictions(const ValidationRequest& request, const EstimatorSet& estimators)
    : request_(request), estimators_(estimators) {}

std::vector<std::string> UnitPredictions::labels() const {
  std::vector<std::string> labels;
  for (const EstimatorSet::Entry& entry : estimators_.entries)
    labels.push_back(entry.label);
  return labels;
}

std::vector<Prediction> UnitPredictions::about(const SiteView& site, const Asked& asked,
                                               ColumnRange range) const {
  const bool whole = range.count == site.weight.size(1);
  const at::Tensor part =
      whole || range.count == 1 ? asked.delta : only_columns(asked.delta, range);
  std::vector<Prediction> answers;
  for (size_t i = 0; i < asked.scores.size(); ++i) {
    Prediction answer{
        sum_of(asked.scores[i], range), sum_of(asked.scores[i] * asked.error, range), {}};
    if (range.count > 1) answer.predicted = estimators_.entries[i].estimator->predicted(site, part);
    // What is stated of columns alone adds up for an estimator that says nothing of columns
    // together.
    if (!answer.predicted && asked.by_channel[i].defined())
      answer.predicted = sum_of(asked.by_channel[i], range);
    answers.push_back(answer);
  }
  return answers;
}

void UnitPredictions::choose(LinearPredictions& linear, const Asked& asked) const {
  const at::Tensor predictor =
      (asked.by_channel.front().defined() ? asked.by_channel.front() : asked.scores.front())
          .contiguous();
  const auto chosen = [&](const std::string& kind, int64_t width) {
    std::vector<ColumnRange> ranges = cut(linear.site.in_features, width), kept;
    const auto& wanted = request_.units;
    if (std::find(wanted.begin(), wanted.end(), kind) == wanted.end()) return kept;
    std::vector<double> values;
    for (const ColumnRange& range : ranges)
      values.push_back(sum_of(predictor, range));
    for (const int64_t place :
         stratified_sample(values, request_.sample, linear.site.name + " " + kind, request_.seed))
      kept.push_back(ranges[static_cast<size_t>(place)]);
    return kept;
  };
  const int64_t group = request_.schemes.front().group_size;
  linear.channels = chosen("channel", 1);
  linear.groups = chosen("group", group > 0 ? group : kRowGroup);
}

void UnitPredictions::add(const SiteView& site, const std::vector<at::Tensor>& scores) {
  LinearPredictions linear{site.site, {}, {}, {}, {}, {}};
  for (size_t s = 0; s < request_.schemes.size(); ++s) {
    Asked asked{scores, RoundingDirection(request_.schemes[s]).of(site.site, site.weight), {}, {}};
    asked.error = asked.delta.to(at::kDouble).square().sum(0);
    for (const EstimatorSet::Entry& entry : estimators_.entries)
      asked.by_channel.push_back(entry.estimator->predicted_by_channel(site, asked.delta));
    if (s == 0) {
      choose(linear, asked);
      linear.of_channels.resize(linear.channels.size());
      linear.of_groups.resize(linear.groups.size());
    }
    for (size_t i = 0; i < linear.channels.size(); ++i)
      linear.of_channels[i].push_back(about(site, asked, linear.channels[i]));
    for (size_t i = 0; i < linear.groups.size(); ++i)
      linear.of_groups[i].push_back(about(site, asked, linear.groups[i]));
    linear.of_whole.push_back(about(site, asked, {0, site.site.in_features}));
  }
  linears_.push_back(std::move(linear));
}

}  // namespace ptq::detail
