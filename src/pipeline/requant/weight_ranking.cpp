// Which weights to detach.  With Δ = Ŵ − W and the loss F along W + tΔ:
//   pqi            |Δ ∫ ∂F/∂w dt|, what arXiv 2503.01901 can only mean by its averages of table 4
//   pqi-signed     Δ ∫ ∂F/∂w dt: only weights whose rounding raises the loss
//   endpoint       |Δ ∂F/∂w (Ŵ)|, the first-order effect of putting one weight back
//   endpoint-signed
//   fisher         Σ_t g², SqueezeLLM's choice; fisher-error: the same times Δ²
//   magnitude, random
#include "weight_ranking.h"

#include <array>
#include <stdexcept>

#include <ATen/ATen.h>

#include "ptq/sensitivity/quadrature.h"
#include "ptq/sensitivity/seeded_bits.h"

namespace ptq::detail {
namespace {

constexpr const char* kFisher = "fisher-token";

at::Tensor product(const RankedWeights& weights, uint64_t /*seed*/) {
  return weights.change * weights.gradient;
}

at::Tensor magnitude_of_product(const RankedWeights& weights, uint64_t seed) {
  return product(weights, seed).abs_();
}

at::Tensor fisher(const RankedWeights& weights, uint64_t /*seed*/) {
  // A copy: the store has it read-only.
  return weights.site.stats.sum(kFisher).to(at::kFloat, /*non_blocking=*/false, /*copy=*/true);
}

at::Tensor fisher_error(const RankedWeights& weights, uint64_t seed) {
  return fisher(weights, seed) * weights.change.square();
}

at::Tensor magnitude(const RankedWeights& weights, uint64_t /*seed*/) {
  return weights.site.weight.abs();
}

at::Tensor random(const RankedWeights& weights, uint64_t seed) {
  estimator::SeededBits bits(weights.site.site.name, seed);
  at::Tensor scores = at::empty_like(weights.site.weight, at::kDouble);
  double* score = scores.data_ptr<double>();
  // From (0, 1]: a weight that is not positive would never be drawn.
  for (int64_t i = 0; i < scores.numel(); ++i)
    score[i] = 1 - bits.uniform();
  return scores.to(at::kFloat);
}

struct Row {
  const char* name;
  enum { kNone, kIntegral, kEnd } gradient;
  bool fisher;
  at::Tensor (*score)(const RankedWeights&, uint64_t);
};

const std::array<Row, 8> kRankings{{
    {"pqi", Row::kIntegral, false, magnitude_of_product},
    {"pqi-signed", Row::kIntegral, false, product},
    {"endpoint", Row::kEnd, false, magnitude_of_product},
    {"endpoint-signed", Row::kEnd, false, product},
    {"fisher", Row::kNone, true, fisher},
    {"fisher-error", Row::kNone, true, fisher_error},
    {"magnitude", Row::kNone, false, magnitude},
    {"random", Row::kNone, false, random},
}};

}  // namespace

std::vector<std::string> weight_ranking_names() {
  std::vector<std::string> names;
  for (const Row& row : kRankings)
    names.emplace_back(row.name);
  return names;
}

std::vector<GradientProbe::Node> integral_nodes(int64_t count) {
  return estimator::quadrature("gauss", count);
}

std::vector<GradientProbe::Node> with_ends(std::vector<GradientProbe::Node> nodes) {
  nodes.insert(nodes.begin(), {0, 0});
  if (nodes.back().at != 1) nodes.push_back({1, 0});
  return nodes;
}

WeightRanking weight_ranking(const std::string& name, int64_t nodes) {
  for (const Row& row : kRankings) {
    if (name != row.name) continue;
    WeightRanking ranking;
    ranking.name = name;
    if (row.gradient == Row::kIntegral) ranking.nodes = integral_nodes(nodes);
    if (row.gradient == Row::kEnd) ranking.nodes = {{1, 1}};
    if (row.fisher) ranking.statistics = {kFisher};
    ranking.score = row.score;
    return ranking;
  }
  throw std::logic_error("no ranking of weights is called " + name);
}

}  // namespace ptq::detail
