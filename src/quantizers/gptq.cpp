// GPTQ (Frantar et al., arXiv:2210.17323): rounds a weight's columns in order and moves each
// column's rounding error onto the columns not yet rounded.
#include <algorithm>
#include <string>

#include <ATen/ATen.h>

#include "descent.h"
#include "gptq_solver.h"
#include "hessian_factor.h"
#include "layer_objective.h"
#include "ptq/quantizers/grid.h"
#include "ptq/quantizers/quantizer.h"
#include "scale_refit.h"
#include "scheme_check.h"

namespace ptq::quantizer {
namespace {

struct GptqSettings {
  HessianSettings hessian;
  bool search = true;      ///< grids are searched, not the full range
  bool importance = true;  ///< … with each column's error weighted by the Hessian's diagonal
  bool refit = false;      ///< scales once more when the codes are known
  int64_t descent = 0;     ///< passes over the codes
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
    const int64_t in = site.in_features, out = site.out_features;
    const int64_t form = quadratic_form_bytes(out, in);
    // Beside the factor, first what every weight was rounded by, then what follows the rounding.
    int64_t beside = std::max(out * in * 4, form);
    if (settings_.refit) beside = std::max(beside, refit_workspace_bytes(out, in));
    if (settings_.descent > 0) beside = std::max(beside, descent_workspace_bytes(out, in));
    if (improves()) beside = std::max(beside, out * in * 4 + form);
    return std::max(factor_workspace_bytes(in), in * in * 4 + beside);
  }

  QuantizedSite quantize(const SiteView& site, const QuantScheme& scheme) const override {
    require_whole_groups(site.site, scheme);
    const at::Tensor weight = site.weight.contiguous();
    const at::Tensor& gram = site.stats.sum("gram");
    HessianSettings hessian = settings_.hessian;
    hessian.group_length = scheme.group_length(weight.size(1));
    const HessianFactor& factor = site.stats.derived<HessianFactor>(
        hessian.key(), [&] { return factor_hessian(gram, hessian); });
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
    double error = solution.error;
    if (improves()) error = improve(site, weight, factor, result);
    if (energy > 0) result.relative_error = error / energy;
  }

  bool improves() const { return settings_.refit || settings_.descent > 0; }

  /// What follows the rounding; returns the error that is left.
  double improve(const SiteView& site, const at::Tensor& weight, const HessianFactor& factor,
                 QuantizedSite& result) const {
    const at::Tensor& gram = site.stats.sum("gram");
    const at::Tensor added =
        at::empty_like(factor.added).index_copy_(0, factor.order, factor.added);
    const LayerObjective objective{weight, gram, added};
    int64_t scales = 0, codes = 0;
    const auto refit = [&] {
      if (settings_.refit)
        scales += refit_scales(objective, site.model_dtype, result.weight).changed;
    };
    refit();
    for (int64_t pass = 0; pass < settings_.descent; ++pass) {
      codes += descend(objective, result.weight).changed;
      refit();
    }
    if (settings_.refit) result.details["scales_refitted"] = scales;
    if (settings_.descent > 0) result.details["codes_changed"] = codes;
    return quadratic_form(result.weight.dequantize().sub_(weight), gram);
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

ColumnOrder order_of(const std::string& name) {
  if (name == "none") return ColumnOrder::kNone;
  return name == "activation" ? ColumnOrder::kActivation : ColumnOrder::kGroupAware;
}

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
  settings.hessian.order = order_of(options.get_choice(
      "order", "activation", {"activation", "group-aware", "none"},
      "column order: activation (largest inputs first), group-aware (groups by their largest "
      "input, "
      "then the columns of each), both with grids fitted before, or none (left to right, each "
      "group's grid fitted to the weights as updated so far)"));
  const std::string grid = options.get_choice(
      "grid", "hessian", {"minmax", "mse", "hessian"},
      "how a group's grid is found: minmax (full range), mse (least squared error) or hessian "
      "(least squared error weighted by the Hessian's diagonal)");
  settings.search = grid != "minmax";
  settings.importance = grid == "hessian";
  settings.refit = options.get(
      "refit", false, "true: after the rounding every scale is fitted once more to the codes");
  settings.descent = options.get_in<int64_t>(
      "descent", 0, 0, 100,
      "passes over the codes after the rounding, each code moved to where the error is least; with "
      "refit, scales again after each; 0 to 100");
  return std::make_unique<Gptq>(settings);
}

}  // namespace ptq::quantizer
