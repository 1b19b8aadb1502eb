// Post-quantization integral (arXiv 2503.01901): the change of the loss F between the weights w and
// their rounded values w + Δ is the integral of the gradient along the straight way, of which every
// weight gets its part s_i = Δ_i ∫₀¹ ∂F/∂w_i(w + tΔ) dt.  The parts of the whole model add up to
// F(w + Δ) − F(w) exactly but for the quadrature.  F is the mean NLL of a target token.
//
// The paper ranks by |s_i| (its table 4 can be nothing else), which is a heuristic: the signed sum
// is less than a hundredth of that of the magnitudes.
#include <cmath>

#include <ATen/ATen.h>

#include "channel_sums.h"
#include "ptq/sensitivity/estimator.h"
#include "ptq/sensitivity/quadrature.h"
#include "ptq/sensitivity/rounding.h"
#include "scheme_options.h"

namespace ptq::estimator {
namespace {

/// Whether two changes of a weight are the same but for rounding to float32.
bool same_change(const at::Tensor& a, const at::Tensor& b, const at::Tensor& weight) {
  const double largest = weight.abs().max().item<double>();
  // w + Δ and the difference of it and w each round once, at up to twice the largest weight.
  return !((a - b).abs().max().item<double>() > 4 * 0x1p-24 * largest);
}

class PostQuantizationIntegral : public SensitivityEstimator {
 public:
  PostQuantizationIntegral(GradientProbe probe, bool absolute)
      : probe_(std::move(probe)), absolute_(absolute) {}

  std::vector<GradientProbe> probes() const override { return {probe_}; }
  std::string unit() const override {
    return absolute_ ? "|nats per target token|" : "nats per target token";
  }
  int degree() const override { return 1; }

  at::Tensor channel_scores(const SiteView& site) const override {
    const at::Tensor& gradient = site.stats.sum(probe_.name, "gradient");
    const at::Tensor delta = change(site);
    if (!absolute_) return per_target(site, column_products(delta, gradient));
    return per_target(site, column_products(delta.abs(), gradient.abs()));
  }
  at::Tensor weight_scores(const SiteView& site) const override {
    const at::Tensor& gradient = site.stats.sum(probe_.name, "gradient");
    const at::Tensor parts = per_target(site, change(site).to(at::kDouble) * gradient);
    return absolute_ ? parts.abs() : parts;
  }

  /// A column's part of the change when the whole model is rounded, so nothing for any other
  /// change: the integral has been along one way.
  at::Tensor predicted_by_channel(const SiteView& site, const at::Tensor& delta) const override {
    require_shape(site, delta);
    const at::Tensor own = change(site);
    if (!same_change(own, delta, site.weight)) return {};
    return per_target(site, column_products(own, site.stats.sum(probe_.name, "gradient")));
  }
  std::optional<double> predicted(const SiteView& site, const at::Tensor& delta) const override {
    const at::Tensor parts = predicted_by_channel(site, delta);
    if (!parts.defined()) return std::nullopt;
    return parts.sum().item<double>();
  }

 private:
  at::Tensor change(const SiteView& site) const {
    return probe_.direction->of(site.site, site.weight);
  }

  GradientProbe probe_;
  bool absolute_;
};

}  // namespace

std::unique_ptr<SensitivityEstimator> pqi(Options& options) {
  const auto nodes = options.get_in<int64_t>(
      "nodes", 4, 1, 256, "gradients along the way, each one reverse sweep, 1 ... 256");
  const std::string rule =
      options.get_choice("rule", "gauss", quadrature_rules(),
                         "Gauss-Legendre, trapezoid, or the mean of equispaced gradients");
  const bool absolute =
      options.get_choice("score", "absolute", {"absolute", "signed"},
                         "whether a weight counts by its magnitude") == "absolute";
  GradientProbe probe;
  probe.direction = std::make_shared<RoundingDirection>(scheme_option(options));
  probe.nodes = quadrature(rule, nodes);
  // The losses at both ends, which the integral must explain.
  probe.nodes.insert(probe.nodes.begin(), {0, 0});
  probe.nodes.push_back({1, 0});
  probe.name = "pqi " + rule + " " + std::to_string(nodes) + " " + probe.direction->key();
  return std::make_unique<PostQuantizationIntegral>(std::move(probe), absolute);
}

}  // namespace ptq::estimator
