#pragma once
#include <cmath>
#include <memory>
#include <string>
#include <utility>

#include <ATen/ATen.h>

#include "ptq/calib/statistic.h"
#include "ptq/sensitivity/estimator.h"

namespace ptq {

/// A small linear with random sequences and gradients, and its statistics by their definitions in
/// float64.
class SensitivitySite {
 public:
  static constexpr int64_t kSequences = 3, kLength = 5, kOut = 4, kIn = 8;
  static constexpr double kTokens = kSequences * kLength;
  static constexpr double kTargets = kSequences * (kLength - 1);

  explicit SensitivitySite(int64_t seed = 1, int64_t out = kOut, int64_t in = kIn) {
    at::manual_seed(static_cast<uint64_t>(seed));
    site_.name = "model.layers.0.self_attn.q_proj";
    site_.out_features = out;
    site_.in_features = in;
    weight = at::randn({out, in});
    x = at::randn({kSequences, kLength, in}, at::kDouble) * at::randn({in}, at::kDouble).exp();
    g = at::randn({kSequences, kLength, out}, at::kDouble) + 0.3;
    collect();
  }

  /// Fills the statistics from `x` and `g`.
  void collect() {
    const at::Tensor tokens = x.flatten(0, 1), gradients = g.flatten(0, 1);
    const at::Tensor energy = gradients.square().sum(1);
    const at::Tensor by_sequence = at::matmul(g.transpose(1, 2), x);
    put("mean-magnitude", tokens.abs().sum(0));
    put("mean-square", tokens.square().sum(0));
    put("gram", at::matmul(tokens.t(), tokens).to(at::kFloat));
    put("token-energy", at::matmul(energy, tokens.square()));
    put("sequence-energy", by_sequence.square().sum(1).sum(0));
    put("pooled-gradient", by_sequence.sum(0).to(at::kFloat));
    put("fisher-sequence", by_sequence.square().sum(0).to(at::kFloat));
    put("fisher-token", at::matmul(gradients.square().t(), tokens.square()).to(at::kFloat));
    set_weighted_gram(1);
    stats.set_counts({x.size(0), x.size(0) * x.size(1), x.size(0) * (x.size(1) - 1)});
  }

  void set_weighted_gram(int64_t groups) {
    const at::Tensor tokens = x.flatten(0, 1), squares = g.flatten(0, 1).square();
    const int64_t out = g.size(2);
    std::vector<at::Tensor> grams;
    for (int64_t k = 0; k < groups; ++k) {
      const at::Tensor d =
          squares.slice(1, k * out / groups, (k + 1) * out / groups).sum(1, /*keepdim=*/true);
      grams.push_back(at::matmul(tokens.t(), tokens * d));
    }
    put("weighted-gram", at::stack(grams).to(at::kFloat));
  }

  void put(const std::string& statistic, const at::Tensor& sum, const std::string& name = "sum") {
    stats.set(statistic, std::make_shared<Sums>(Sums{{name, sum}}));
  }

  SiteView view() const { return {site_, weight, stats, at::kFloat}; }
  const LinearSite& site() const& { return site_; }

  at::Tensor weight;  ///< float32 [out, in]
  at::Tensor x, g;    ///< float64 [sequences, length, in] and [sequences, length, out]
  SiteStats stats;

 private:
  LinearSite site_;
};

/// Largest |a − b| relative to the larger of the two, element by element.
inline double relative_difference(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor scale = at::maximum(a.abs(), b.abs()).clamp_min(1e-300);
  return ((a - b).abs() / scale).max().item<double>();
}

/// What float32 sums in the statistics and a few float64 operations may cost, for sums without
/// cancellation: one rounding, 2⁻²⁴, doubled by a square.
constexpr double kFloatRounding = 4 * 0x1p-24;

}  // namespace ptq
