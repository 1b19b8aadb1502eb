// The average trace of a linear's Hessian (HAWQ-V2, arXiv 1911.03852) by
// Hutchinson's method: E[zᵀHz] = tr H for signs z, with Hz from a central difference of gradients.
//
// All linears are displaced at once, so that one probe serves the whole model: zᵀHz restricted to a
// linear then holds z_lᵀH_ll'z_l' of other linears, too, whose mean is zero but not their variance.
// Likewise z_i(Hz)_i is an unbiased estimate of a diagonal element (Bekas, Kokiopoulou, Saad,
// 2007). Few samples suffice for the mean over a linear's weights, not for a single channel.
#include <cmath>
#include <sstream>

#include <ATen/ATen.h>

#include "channel_sums.h"
#include "ptq/sensitivity/estimator.h"
#include "ptq/sensitivity/seeded_bits.h"

namespace ptq::estimator {
namespace {

double rms_of(const at::Tensor& weight) {
  const double squares = squared_columns(weight).sum().item<double>();
  const double rms = std::sqrt(squares / static_cast<double>(weight.numel()));
  return rms > 0 ? rms : 1.0;  // a weight of zeros names no scale
}

/// Random signs times the root mean square of the weight.
class SignDirection : public Direction {
 public:
  SignDirection(uint64_t seed, int64_t sample) : seed_(seed), sample_(sample) {}

  std::string key() const override {
    return "signs seed " + std::to_string(seed_) + " sample " + std::to_string(sample_);
  }

  at::Tensor of(const LinearSite& site, const at::Tensor& weight) const override {
    const auto rms = static_cast<float>(rms_of(weight));
    at::Tensor result = at::empty(weight.sizes(), at::kFloat);
    float* value = result.data_ptr<float>();
    SeededBits bits(site.name + " " + std::to_string(sample_), seed_);
    uint64_t word = 0;
    for (int64_t i = 0; i < result.numel(); ++i) {
      if (i % 64 == 0) word = bits.next();
      value[i] = (word >> (i % 64) & 1U) != 0 ? rms : -rms;
    }
    return result;
  }

 private:
  uint64_t seed_;
  int64_t sample_;
};

class HessianTrace : public SensitivityEstimator {
 public:
  HessianTrace(int64_t samples, double epsilon, uint64_t seed) {
    for (int64_t sample = 0; sample < samples; ++sample) {
      GradientProbe probe;
      probe.direction = std::make_shared<SignDirection>(seed, sample);
      std::ostringstream name;
      name.precision(17);
      name << "hessian-trace epsilon " << epsilon << " " << probe.direction->key();
      probe.name = name.str();
      probe.nodes = {{epsilon, 0.5 / epsilon}, {-epsilon, -0.5 / epsilon}};
      probes_.push_back(probe);
    }
  }

  std::vector<GradientProbe> probes() const override { return probes_; }
  std::string unit() const override { return "nats per target token per unit of weight²"; }

  /// The trace over a column's weights; noisy, and of either sign where the Hessian is small.
  at::Tensor channel_scores(const SiteView& site) const override {
    at::Tensor sums = at::zeros({site.weight.size(1)}, at::kDouble);
    for (const GradientProbe& probe : probes_)
      sums += column_products(probe.direction->of(site.site, site.weight), gradient(site, probe));
    return scaled(site, sums);
  }

  at::Tensor weight_scores(const SiteView& site) const override {
    at::Tensor sums = at::zeros(site.weight.sizes(), at::kDouble);
    for (const GradientProbe& probe : probes_)
      sums += probe.direction->of(site.site, site.weight).to(at::kDouble) * gradient(site, probe);
    return scaled(site, sums);
  }

  /// ½ tr(H)/n ‖Δ‖², HAWQ-V2's Ω: the mean over all the linear's weights stands in for each one's
  /// own, also in a column, whose own estimate is mostly noise.
  at::Tensor predicted_by_channel(const SiteView& site, const at::Tensor& delta) const override {
    require_shape(site, delta);
    const double trace = channel_scores(site).sum().item<double>();
    return squared_columns(delta) * (trace / static_cast<double>(delta.numel()) / 2);
  }
  std::optional<double> predicted(const SiteView& site, const at::Tensor& delta) const override {
    return predicted_by_channel(site, delta).sum().item<double>();
  }

 private:
  static const at::Tensor& gradient(const SiteView& site, const GradientProbe& probe) {
    return site.stats.sum(probe.name, "gradient");
  }

  /// Mean over samples and targets of Σ v (Hv), v = rms z, without the two factors rms.
  at::Tensor scaled(const SiteView& site, const at::Tensor& sums) const {
    const double rms = rms_of(site.weight);
    return per_target(site, sums) / (rms * rms * static_cast<double>(probes_.size()));
  }

  std::vector<GradientProbe> probes_;
};

}  // namespace

std::unique_ptr<SensitivityEstimator> hessian_trace(Options& options) {
  const auto samples = options.get_in<int64_t>(
      "samples", 4, 1, 1000, "random directions, each two reverse sweeps, 1 ... 1000");
  const double epsilon =
      options.get_in("epsilon", 0.01, 1e-6, 1.0,
                     "step of the differences, in root mean squares of a weight, 1e-6 ... 1");
  const auto seed = options.get_in<int64_t>("seed", 0, 0, INT32_MAX, "of the directions, from 0");
  return std::make_unique<HessianTrace>(samples, epsilon, static_cast<uint64_t>(seed));
}

}  // namespace ptq::estimator
