// GPTQ (Frantar et al., arXiv:2210.17323): rounds a weight's columns in order and moves each
// column's rounding error onto the columns not yet rounded.
#include <algorithm>
#include <string>

#include <ATen/ATen.h>

#include "gptq_solver.h"
#include "hessian_factor.h"
#include "ptq/quantizers/grid.h"
#include "ptq/quantizers/quantizer.h"
#include "quadratic_form.h"
#include "scheme_check.h"

namespace ptq::quantizer {
namespace {

struct GptqSettings {
  HessianSettings hessian;
  bool search = true;      ///< grids are searched, not the full range
  bool importance = true;  ///< … with each column's error weighted by the Hessian's diagonal
};

class Gptq : public Quantizer {
 public:
  explicit Gptq(const GptqSettings& settings) : settings_(settings) {}

  std::vector<std::string> statistics() const override { return {"gram"}; }

  std::optional<std::string> data_warning(int64_t tokens, int64_t in_features) const override {
    if (tokens >= in_features) return std::nullopt;
    return std::to_string(tokens) + " calibration tokens cannot determine the Hessian of " +
           std::to_string(in_features) +
           " inputs; GPTQ will fit them too closely: use at least that many";
  }

  int64_t workspace_bytes(const LinearSite& site) const override {
    const int64_t in = site.in_features;
    // Beside the factor, first what every weight was rounded by, then a product in float32 and
    // again in float64 for its sum.
    const int64_t rounded = site.out_features * in * 4;
    return std::max(factor_workspace_bytes(in),
                    in * in * 4 + std::max(rounded, quadratic_form_bytes(site.out_features, in)));
  }

  QuantizedSite quantize(const SiteView& site, const QuantScheme& scheme) const override {
    require_whole_groups(site.site, scheme);
    const at::Tensor weight = site.weight.contiguous();
    const at::Tensor& gram = site.stats.sum("gram");
    const HessianFactor& factor = site.stats.derived<HessianFactor>(
        settings_.hessian.key(), [&] { return factor_hessian(gram, settings_.hessian); });
    QuantizedSite result;
    result.fallbacks = factor.fallbacks;
    result.details["damping"] = factor.damping;
    result.details["dead_columns"] = factor.dead;
    result.details["float64"] = factor.float64;
    if (factor.feedback.defined())
      solve(site, weight, scheme, factor, result);
    else
      round_only(site, weight, scheme, result);
    return result;
  }

 private:
  void solve(const SiteView& site, const at::Tensor& weight, const QuantScheme& scheme,
             const HessianFactor& factor, QuantizedSite& result) const {
    const int64_t in = weight.size(1);
    GridFit fit{settings_.search, settings_.importance ? factor.diagonal : at::Tensor()};
    SolverGrids grids;
    grids.group_of = contiguous_groups(scheme, in);
    if (settings_.hessian.order == ColumnOrder::kNone) {
      const int64_t groups = scheme.groups(in), length = scheme.group_length(in);
      grids.scale = at::ones({weight.size(0), groups}, at::kFloat);
      grids.zero = at::zeros({weight.size(0), groups}, at::kByte);
      grids.refit = [&, fit, length](const at::Tensor& current, int64_t group) {
        GridFit group_fit = fit;
        if (fit.importance.defined())
          group_fit.importance = fit.importance.narrow(0, group * length, current.size(1));
        const QuantScheme whole{scheme.bits, -1, scheme.symmetric};
        const Grids fitted = fit_grids(current, whole, site.model_dtype, group_fit);
        grids.scale.select(1, group).copy_(fitted.scale.squeeze(1));
        grids.zero.select(1, group).copy_(fitted.zero.squeeze(1));
      };
    } else {
      const Grids fitted = fit_grids(weight, scheme, site.model_dtype, fit);
      grids.scale = fitted.scale;
      grids.zero = fitted.zero;
    }
    const Solution solution = solve_columns(weight, factor, grids, scheme);
    result.weight = {solution.q, grids.scale, grids.zero, grids.group_of, scheme};
    const double energy = quadratic_form(weight, site.stats.sum("gram"));
    if (energy > 0) result.relative_error = solution.error / energy;
  }

  void round_only(const SiteView& site, const at::Tensor& weight, const QuantScheme& scheme,
                  QuantizedSite& result) const {
    const Grids grids = fit_grids(weight, scheme, site.model_dtype, {settings_.search, {}});
    const RoundedWeight rounded = round_to_nearest(weight, scheme, grids);
    result.weight = {rounded.q, grids.scale, grids.zero, contiguous_groups(scheme, weight.size(1)),
                     scheme};
    if (rounded.squared_weight > 0)
      result.relative_error = rounded.squared_error / rounded.squared_weight;
  }

  GptqSettings settings_;
};

}  // namespace

std::unique_ptr<Quantizer> gptq(Options& options) {
  GptqSettings settings;
  settings.hessian.damping =
      options.get_in("damping", 0.01, 0.0, 10.0,
                     "added to the Hessian's diagonal, as a part of damping_scale; 0 to 10");
  settings.hessian.damping_scale =
      options.get_choice("damping_scale", "mean", {"mean", "median"},
                         "what damping is a part of: mean or median of the diagonal") == "mean"
          ? DampingScale::kMean
          : DampingScale::kMedian;
  settings.hessian.order =
      options.get_choice(
          "order", "activation", {"activation", "none"},
          "column order: activation (largest inputs first, grids fitted before) or none (left to "
          "right, each group's grid fitted to the weights as updated so far)") == "none"
          ? ColumnOrder::kNone
          : ColumnOrder::kActivation;
  const std::string grid = options.get_choice(
      "grid", "hessian", {"minmax", "mse", "hessian"},
      "how a group's grid is found: minmax (full range), mse (least squared error) or hessian "
      "(least squared error weighted by the Hessian's diagonal)");
  settings.search = grid != "minmax";
  settings.importance = grid == "hessian";
  return std::make_unique<Gptq>(settings);
}

}  // namespace ptq::quantizer
