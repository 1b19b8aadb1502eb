// GPTQ (Frantar et al., arXiv:2210.17323): rounds a weight's columns in order and moves each
// column's rounding error onto the columns not yet rounded.
#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include <ATen/ATen.h>

#include "gptq_rows.h"
#include "gptq_settings.h"
#include "hessian_factor.h"
#include "precorrection.h"
#include "ptq/backends/device_columns.h"
#include "ptq/quantizers/quantizer.h"
#include "scheme_check.h"

namespace ptq::quantizer {
namespace {

constexpr const char* kEnergy = "gradient-energy";

/// How many equally weighted tokens the statistics are worth.
double effective_tokens(const SiteStats& stats, const GptqSettings& settings) {
  const DataCounts& counts = stats.counts();
  if (!settings.weighted)
    return static_cast<double>(counts.tokens - (settings.first_token ? 0 : counts.sequences));
  const auto energy = stats.sum(kEnergy, "energy").item<double>();
  const auto squared = stats.sum(kEnergy, "energy_squared").item<double>();
  return squared > 0 ? energy * energy / squared : 0;
}

/// The result for all rows, filled run by run.
class Gathered {
 public:
  /// For a weight of `out` rows in one run, or in several.
  explicit Gathered(int64_t out) : out_(out) {}

  void add(int64_t first, const RoundedRows& rows, const HessianFactor& factor) {
    const int64_t count = rows.weight.out_features();
    std::string where;
    if (count == out_) {
      site_.weight = rows.weight;
    } else {
      put(first, rows.weight);
      where =
          "outputs " + std::to_string(first) + " to " + std::to_string(first + count - 1) + ": ";
    }
    for (const std::string& fallback : factor.fallbacks)
      site_.fallbacks.push_back(where + fallback);
    error_ += rows.error;
    energy_ += rows.energy;
    damping_ = std::max(damping_, factor.damping);
    dead_ = std::max(dead_, factor.dead);
    float64_ = float64_ || factor.float64;
    scales_ += rows.scales_refitted;
    codes_ += rows.codes_changed;
    reduced_ += rows.rows_reduced;
  }

  void add(const Corrected& target) {
    if (!target.finite)
      site_.fallbacks.push_back(
          "aimed at its own outputs instead of the full-precision model's: the comparison of their "
          "inputs is not finite");
    drift_ = target.drift;
    halvings_ = target.halvings;
  }

  QuantizedSite site(const GptqSettings& settings) && {
    if (energy_ > 0) site_.relative_error = error_ / energy_;
    site_.details["damping"] = damping_;
    site_.details["dead_columns"] = dead_;
    site_.details["float64"] = float64_;
    if (settings.corrects) site_.details["drift"] = drift_;
    if (settings.corrects) site_.details["drift_halvings"] = halvings_;
    if (settings.magr.strength > 0) site_.details["rows_reduced"] = reduced_;
    if (settings.refit) site_.details["scales_refitted"] = scales_;
    if (settings.descent > 0) site_.details["codes_changed"] = codes_;
    return std::move(site_);
  }

 private:
  void put(int64_t first, const QuantizedTensor& rows) {
    const auto into = [&](at::Tensor& whole, const at::Tensor& part) {
      if (!whole.defined()) whole = at::empty({out_, part.size(1)}, part.options());
      whole.narrow(0, first, part.size(0)).copy_(part);
    };
    QuantizedTensor& whole = site_.weight;
    into(whole.q, rows.q);
    into(whole.scale, rows.scale);
    into(whole.zero, rows.zero);
    whole.group_of = rows.group_of;
    whole.scheme = rows.scheme;
  }

  int64_t out_;
  QuantizedSite site_;
  double error_ = 0, energy_ = 0, damping_ = 0, drift_ = 0;
  int64_t halvings_ = 0, dead_ = 0, scales_ = 0, codes_ = 0, reduced_ = 0;
  bool float64_ = false;
};

class Gptq : public Quantizer {
 public:
  explicit Gptq(const GptqSettings& settings) : settings_(settings) {}

  std::vector<std::string> statistics() const override {
    if (settings_.corrects) return {settings_.gram(), settings_.cross_gram()};
    if (!settings_.weighted) return {settings_.gram()};
    if (!settings_.token_damping) return {"weighted-gram"};
    return {"weighted-gram", kEnergy};
  }

  std::optional<std::string> data_warning(int64_t tokens, int64_t in_features) const override {
    if (tokens >= in_features) return std::nullopt;
    return std::to_string(tokens) + " calibration tokens cannot determine the Hessian of " +
           std::to_string(in_features) +
           " inputs; GPTQ will fit them too closely: use at least that many";
  }

  int64_t workspace_bytes(const LinearSite& site) const override {
    const int64_t in = site.in_features, out = site.out_features;
    const int64_t rows = round_rows_bytes(out, in, settings_);
    const int64_t correction = settings_.corrects ? precorrect_bytes(out, in) : 0;
    const int64_t corrected = settings_.corrects ? out * in * 4 : 0;
    // Beside the factor the rows are corrected and rounded.
    return std::max(factor_workspace_bytes(in),
                    in * in * 4 + std::max(correction, corrected + rows));
  }

  /// On a GPU: the factorization, the columns and what is fed forward; what comes behind them has
  /// no kernels there.
  bool takes(at::Device device) const override {
    if (device.is_cpu()) return true;
    const bool plain = !settings_.weighted && !settings_.corrects && !settings_.improves();
    return device.is_cuda() && plain && !device_columns_unavailable(device.index());
  }

  QuantizedSite quantize(const SiteView& site, const QuantScheme& scheme) const override {
    require_whole_groups(site.site, scheme);
    const at::Tensor weight = site.weight.contiguous();
    const HessianSettings hessian = hessian_of(site, scheme);
    Gathered gathered(weight.size(0));
    if (settings_.weighted) {
      const at::Tensor& grams = site.stats.sum("weighted-gram");
      const int64_t out = weight.size(0), runs = grams.size(0);
      for (int64_t run = 0; run < runs; ++run) {  // cut as the statistic cuts them
        const int64_t first = out * run / runs, end = out * (run + 1) / runs;
        const HessianFactor factor = factor_hessian(grams[run], hessian);
        gathered.add(first,
                     round_rows({weight.narrow(0, first, end - first), grams[run], factor, scheme,
                                 site.model_dtype},
                                settings_),
                     factor);
      }
    } else {
      const at::Tensor& gram = site.stats.sum(settings_.gram());
      const HessianFactor& factor = site.stats.derived<HessianFactor>(
          hessian.key(), [&] { return factor_hessian(gram, hessian); });
      Corrected target{weight};
      if (settings_.corrects && factor.feedback.defined())
        target = precorrect(weight, site.stats.sum(settings_.cross_gram()), factor,
                            settings_.most_drift);
      gathered.add(0,
                   round_rows({target.weight, gram, factor, scheme, site.model_dtype}, settings_),
                   factor);
      gathered.add(target);
    }
    return std::move(gathered).site(settings_);
  }

 private:
  HessianSettings hessian_of(const SiteView& site, const QuantScheme& scheme) const {
    HessianSettings hessian = settings_.hessian;
    const auto in = static_cast<double>(site.site.in_features);
    hessian.group_length = scheme.group_length(site.site.in_features);
    if (settings_.token_damping)
      hessian.damping *= std::sqrt(
          std::max(1.0, 16 * in / std::max(1.0, effective_tokens(site.stats, settings_))));
    return hessian;
  }

  GptqSettings settings_;
};

}  // namespace

std::unique_ptr<Quantizer> gptq(Options& options) {
  return std::make_unique<Gptq>(read_gptq_settings(options));
}

}  // namespace ptq::quantizer
