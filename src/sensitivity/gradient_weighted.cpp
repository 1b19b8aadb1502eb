// The activation sensitivity α_j of arXiv 2601.11663, whose equation 5, E‖GᵀX_:,j‖², and equation
// 6, (XᵀDX)_jj with D = diag(‖g_t‖²), are the same only where a sample is one token:
//   token     Σ_t ‖g_t‖² x_tj²        equation 6
//   sequence  Σ_s ‖Σ_{t∈s} g_t x_tj‖² equation 5 with a sequence as the sample: adds the cross
//   terms
//                                     Σ_{t≠t'∈s} x_tj x_t'j ⟨g_t, g_t'⟩
//   pooled    ‖Σ_t g_t x_tj‖²         equation 5 without the expectation: adds those between
//                                     sequences, and does not converge with more data
#include <ATen/ATen.h>

#include "channel_sums.h"
#include "ptq/core/error.h"
#include "ptq/model/matmul.h"
#include "ptq/sensitivity/estimator.h"

namespace ptq::estimator {
namespace {

constexpr const char* kUnit = "(nats per unit of weight)² per token";
constexpr const char* kWeightedGram = "weighted-gram";

/// ½ Σ_g tr(Δ_g H_g Δ_gᵀ) / (targets · outputs of the group), H_g = XᵀD_gX with D_g the sum of
/// g_to² over a group of consecutive outputs.  The division by the outputs is needed: an output's
/// row should be weighted by its own g_to², and the mean over the group stands in for it
/// (GuidedQuant, arXiv 2505.07004).
double joint_quadratic(const SiteView& site, const at::Tensor& delta) {
  const at::Tensor& grams = site.stats.sum(kWeightedGram);
  const int64_t groups = grams.size(0), out = delta.size(0);
  at::Tensor total = at::zeros({}, at::kDouble);
  for (int64_t g = 0; g < groups; ++g) {
    const int64_t first = g * out / groups, end = (g + 1) * out / groups;
    const at::Tensor rows = delta.narrow(0, first, end - first).contiguous();
    const at::Tensor product = matrix_product(rows, grams.select(0, g).contiguous());
    total += product.to(at::kDouble).mul_(rows).sum() / static_cast<double>(end - first);
  }
  return per_target(site, total).item<double>() / 2;
}

/// The readings that average squares, over tokens or over sequences: estimates of the Fisher
/// matrix's diagonal, summed over outputs.
class MeanOfSquares : public SensitivityEstimator {
 public:
  MeanOfSquares(std::string statistic, bool joint)
      : statistic_(std::move(statistic)), joint_(joint) {}

  std::vector<std::string> statistics() const override {
    if (joint_) return {statistic_, kWeightedGram};
    return {statistic_};
  }
  std::string unit() const override { return kUnit; }

  at::Tensor channel_scores(const SiteView& site) const override {
    return per_token(site, site.stats.sum(statistic_));
  }

  /// ½ Σ_o Δ_oj² · α_j / m: the quadratic form with the Fisher matrix for the Hessian, every one of
  /// the m outputs taken to have the same share of α_j.
  at::Tensor predicted_by_channel(const SiteView& site, const at::Tensor& delta) const override {
    require_shape(site, delta);
    const at::Tensor share =
        per_target(site, site.stats.sum(statistic_)) / static_cast<double>(delta.size(0));
    return squared_columns(delta) * share / 2;
  }

  std::optional<double> predicted(const SiteView& site, const at::Tensor& delta) const override {
    require_shape(site, delta);
    if (joint_) return joint_quadratic(site, delta);
    return predicted_by_channel(site, delta).sum().item<double>();
  }

 private:
  std::string statistic_;
  bool joint_;
};

/// The reading that squares the sum: no curvature.  What it squares predicts to first order, by
/// equation 4: ΔL = ⟨GᵀX_:,j, Δ_:,j⟩.
class SquareOfSum : public SensitivityEstimator {
 public:
  std::vector<std::string> statistics() const override { return {kStatistic}; }
  std::string unit() const override { return kUnit; }

  at::Tensor channel_scores(const SiteView& site) const override {
    return per_token(site, squared_columns(site.stats.sum(kStatistic)));
  }

  at::Tensor predicted_by_channel(const SiteView& site, const at::Tensor& delta) const override {
    require_shape(site, delta);
    return per_target(site, column_products(site.stats.sum(kStatistic), delta));
  }

  std::optional<double> predicted(const SiteView& site, const at::Tensor& delta) const override {
    return predicted_by_channel(site, delta).sum().item<double>();
  }

 private:
  static constexpr const char* kStatistic = "pooled-gradient";
};

}  // namespace

std::unique_ptr<SensitivityEstimator> gradient_weighted(Options& options) {
  const std::string reading =
      options.get_choice("reading", "token", {"token", "sequence", "pooled"},
                         "what is squared: a token's gradient, a sequence's, or that of all data");
  const bool joint =
      options.get_choice("columns", "independent", {"independent", "joint"},
                         "a linear's predicted change: the sum of its columns' or, for "
                         "reading=token, with the weighted Gram matrix between them") == "joint";
  if (joint && reading != "token")
    throw ConfigError(
        "estimator gradient-weighted: columns=joint goes with reading=token, not " + reading,
        "the weighted Gram matrix is a sum over tokens");
  if (reading == "pooled") return std::make_unique<SquareOfSum>();
  return std::make_unique<MeanOfSquares>(reading + "-energy", joint);
}

}  // namespace ptq::estimator
