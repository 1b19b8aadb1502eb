#include "summary.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>

namespace ptq {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr std::array<double, 13> kPercents = {0,  1,  5,  10,   25,    50, 75,
                                              90, 95, 99, 99.9, 99.99, 100};

double mean_of(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

std::vector<int64_t> counts_of(const WindowPlan& plan) {
  std::vector<int64_t> counts;
  for (const Window& window : plan.windows)
    counts.push_back(window.scored_tokens());
  return counts;
}

/// llama-perplexity takes every token as independent; we print its figure under its name only.
double standard_error_of(const WindowPlan& plan, const std::vector<double>& values) {
  return plan.protocol == "llama.cpp" ? token_standard_error(values)
                                      : clustered_standard_error(values, counts_of(plan));
}

}  // namespace

double clustered_standard_error(const std::vector<double>& values,
                                const std::vector<int64_t>& counts) {
  if (counts.size() < 2) return kNan;
  const double mean = mean_of(values);
  const auto n = static_cast<double>(counts.size());
  double squares = 0.0;
  auto value = values.begin();
  for (const int64_t count : counts) {
    const double sum = std::accumulate(value, value + count, 0.0);
    const double deviation = sum - mean * static_cast<double>(count);
    squares += deviation * deviation;
    value += count;
  }
  return std::sqrt(n / (n - 1.0) * squares) / static_cast<double>(values.size());
}

double token_standard_error(const std::vector<double>& values) {
  if (values.size() < 2) return kNan;
  const double mean = mean_of(values);
  double squares = 0.0;  // about the mean: the same variance without the cancellation
  for (const double value : values)
    squares += (value - mean) * (value - mean);
  const auto n = static_cast<double>(values.size());
  return std::sqrt(squares / n / (n - 1.0));
}

double quantile(const std::vector<double>& sorted, double percent) {
  const double place = percent / 100.0 * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(place);
  if (below + 1 >= sorted.size()) return sorted.back();
  const double share = place - static_cast<double>(below);
  return share == 0.0 ? sorted[below] : sorted[below] + share * (sorted[below + 1] - sorted[below]);
}

PerplexityResult summarize_perplexity(const WindowPlan& plan, const std::vector<double>& nll) {
  PerplexityResult result;
  result.protocol = plan.protocol;
  result.seqlen = plan.seqlen;
  result.stride = plan.stride;
  result.windows = static_cast<int64_t>(plan.windows.size());
  result.scored_tokens = plan.scored_tokens();
  result.window_scored_tokens = counts_of(plan);
  auto value = nll.begin();
  for (const int64_t count : result.window_scored_tokens) {
    result.window_nll.push_back(std::accumulate(value, value + count, 0.0) /
                                static_cast<double>(count));
    value += count;
  }
  result.mean_nll_nats = mean_of(nll);
  result.perplexity = std::exp(result.mean_nll_nats);
  result.standard_error = result.perplexity * standard_error_of(plan, nll);
  return result;
}

KlResult summarize_kl(const WindowPlan& plan, const TokenScores& scores) {
  KlResult result;
  const size_t n = scores.kl.size();
  const auto tokens = static_cast<double>(n);
  result.tokens = static_cast<int64_t>(n);
  result.mean_nats = mean_of(scores.kl);
  result.standard_error = standard_error_of(plan, scores.kl);
  std::vector<double> sorted = scores.kl;
  std::sort(sorted.begin(), sorted.end());
  for (const double percent : kPercents)
    result.quantiles.emplace_back(percent, quantile(sorted, percent));
  std::vector<double> delta_nll(n);
  double same = 0.0, delta_p = 0.0, delta_p_squares = 0.0;
  for (size_t i = 0; i < n; ++i) {
    same += scores.same_top1[i];
    const double delta = std::exp(-scores.nll[i]) - std::exp(-scores.reference_nll[i]);
    delta_p += delta;
    delta_p_squares += delta * delta;
    delta_nll[i] = scores.nll[i] - scores.reference_nll[i];
  }
  result.top1_agreement = same / tokens;
  result.mean_delta_p = delta_p / tokens;
  result.rms_delta_p = std::sqrt(delta_p_squares / tokens);
  result.mean_delta_nll_nats = mean_of(delta_nll);
  result.delta_nll_standard_error = standard_error_of(plan, delta_nll);
  return result;
}

Json PerplexityResult::to_json() const {
  return {{"protocol", protocol},
          {"seqlen", seqlen},
          {"stride", stride},
          {"windows", windows},
          {"scored_tokens", scored_tokens},
          {"mean_nll_nats", mean_nll_nats},
          {"perplexity", perplexity},
          {"perplexity_standard_error", standard_error},
          {"standard_error_from", protocol == "llama.cpp" ? "tokens" : "windows"},
          {"window_mean_nll_nats", window_nll},
          {"window_scored_tokens", window_scored_tokens},
          {"seconds", seconds}};
}

Json KlResult::to_json() const {
  Json points = Json::array();
  for (const auto& [percent, nats] : quantiles)
    points.push_back({{"percent", percent}, {"nats", nats}});
  return {{"direction", "reference || model"},
          {"tokens", tokens},
          {"mean_nats", mean_nats},
          {"mean_standard_error", standard_error},
          {"quantiles", points},
          {"top1_agreement", top1_agreement},
          {"mean_delta_p_target", mean_delta_p},
          {"rms_delta_p_target", rms_delta_p},
          {"mean_delta_nll_nats", mean_delta_nll_nats},
          {"mean_delta_nll_standard_error", delta_nll_standard_error}};
}

Json EvalResult::to_json() const {
  Json json = {{"model", model.to_json()},
               {"windows_sha256", windows_sha256},
               {"tokens", tokens},
               {"seconds", seconds}};
  if (reference) json["reference"] = reference->to_json();
  if (kl) json["kl"] = kl->to_json();
  return json;
}

}  // namespace ptq
