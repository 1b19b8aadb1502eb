#include "scale_search.h"

#include <algorithm>
#include <numeric>
#include <optional>

#include <ATen/ATen.h>

#include "hessian_factor.h"
#include "module_probe.h"
#include "ptq/model/quadratic_form.h"
#include "ptq/quantizers/grid.h"
#include "scale_candidates.h"

namespace ptq::quantizer {
namespace {

/// A stage whose scale is looked for.
class Stagewise {
 public:
  Stagewise(const BlockContext& context, size_t index, const ScaleSearchSettings& settings)
      : context_(context),
        settings_(settings),
        stage_(context.block.stages()[index]),
        stats_(context.stats[index]),
        gram_(stats_.sum("gram")),
        channel_(context.block.input_producer(index).channel),
        factors_(input_factors(context.block, index)) {
    for (const Linear& linear : stage_.linears)
      rows_ += linear.site().out_features;
    for (const Linear& linear : stage_.linears)
      samples_.push_back(sample(linear.weight().cpu()));
    for (const at::Tensor& some : samples_)
      energy_ += quadratic_form(some, gram_);
    if (settings.feedback) find_pivots();
    saliency_ = has_pivots() && settings.pivots ? pivots_.to(at::kDouble).sqrt()
                                                : settings.saliency.of(context, index);
  }

  std::vector<ScaleCandidate> candidates() const {
    at::Tensor share = at::zeros({channel_.size(0)}, at::kDouble);
    for (size_t i = 0; i < samples_.size(); ++i)
      share += range_share(samples_[i], scheme(i)) *
               (static_cast<double>(samples_[i].size(0)) / static_cast<double>(rows_));
    return scale_candidates(of_factors(saliency_), of_factors(share));
  }

  /// tr(ΔW H ΔWᵀ) of the sampled rows as a part of tr(W H Wᵀ).
  double linear_error(const ScaleCandidate& candidate) const {
    double error = 0;
    for (size_t i = 0; i < samples_.size(); ++i)
      error += quadratic_form(rounded(i, samples_[i], candidate) - samples_[i], gram_);
    return energy_ > 0 ? error / energy_ : 0;
  }

  /// What GPTQ is expected to leave of the error: every column is rounded evenly within a step,
  /// and what the columns after it cannot make up for is its pivot.
  double feedback_error(const ScaleCandidate& candidate) const {
    const at::Tensor factor = candidate.scale.index_select(0, channel_);
    const at::Tensor left = pivots_ / factor.square();
    double error = 0;
    for (size_t i = 0; i < samples_.size(); ++i) {
      const Grids grids = fit_grids(samples_[i] * factor, scheme(i), dtype(i), {});
      const int64_t groups = grids.scale.size(1);
      const at::Tensor squares = grids.scale.square().sum(0, false, at::kDouble);
      error += (squares * left.view({groups, -1}).sum(1, false, at::kDouble)).sum().item<double>();
    }
    return energy_ > 0 ? error / 12 / energy_ : 0;
  }

  bool has_pivots() const { return pivots_.defined(); }

  double module_error(const ScaleCandidate& candidate, ModuleProbe& probe) const {
    std::vector<at::Tensor> weights;
    for (size_t i = 0; i < stage_.linears.size(); ++i)
      weights.push_back(rounded(i, stage_.linears[i].weight().cpu(), candidate)
                            .to(stage_.linears[i].weight().device()));
    return probe.energy() > 0 ? probe.error(weights) / probe.energy() : 0;
  }

 private:
  /// Some rows, evenly apart, of the stage's share for this linear.
  at::Tensor sample(const at::Tensor& weight) const {
    const int64_t step = std::max<int64_t>(1, rows_ / settings_.rows);
    return weight.slice(0, step / 2 % weight.size(0), weight.size(0), step).contiguous();
  }

  const QuantScheme& scheme(size_t i) const {
    return context_.plan.at(stage_.linears[i].site().name);
  }

  at::ScalarType dtype(size_t i) const {
    return context_.stored(stage_.linears[i].site().name + ".weight");
  }

  void find_pivots() {
    const HessianFactor factor = factor_hessian(gram_, {});
    if (factor.feedback.defined())
      pivots_ = at::empty_like(factor.pivots).index_copy_(0, factor.order, factor.pivots);
  }

  /// The means over the input channels that share a factor.
  at::Tensor of_factors(const at::Tensor& values) const {
    const at::Tensor sums =
        at::zeros({factors_}, at::kDouble).index_add(0, channel_, values.to(at::kDouble));
    const at::Tensor counts =
        at::zeros({factors_}, at::kDouble).index_add(0, channel_, at::ones_like(values));
    return sums / counts;
  }

  /// Rows of linear `i` scaled, rounded and scaled back.
  at::Tensor rounded(size_t i, const at::Tensor& weight, const ScaleCandidate& candidate) const {
    const at::Tensor factor = candidate.scale.index_select(0, channel_);
    const at::Tensor scaled = weight * factor;
    GridFit fit;
    fit.search = settings_.search_grids;
    if (fit.search) fit.importance = gram_.diagonal() / factor.square();
    const Grids grids = fit_grids(scaled, scheme(i), dtype(i), fit);
    return round_to_nearest(scaled, scheme(i), grids).weight.dequantize().div_(factor);
  }

  const BlockContext& context_;
  const ScaleSearchSettings& settings_;
  const Stage& stage_;
  const SiteStats& stats_;
  const at::Tensor& gram_;
  at::Tensor channel_, pivots_, saliency_;
  int64_t factors_, rows_ = 0;
  std::vector<at::Tensor> samples_;
  double energy_ = 0;
};

/// The indices of `errors` from the smallest on.
std::vector<size_t> ascending(const std::vector<double>& errors) {
  std::vector<size_t> order(errors.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return errors[a] < errors[b]; });
  return order;
}

}  // namespace

ScaleChoice search_scale(const BlockContext& context, size_t index, const BlockState& state,
                         const ScaleSearchSettings& settings) {
  const Stagewise stage(context, index, settings);
  const std::vector<ScaleCandidate> candidates = stage.candidates();
  std::vector<double> errors;
  const bool feedback = stage.has_pivots();
  for (const ScaleCandidate& candidate : candidates)
    errors.push_back(feedback ? stage.feedback_error(candidate) : stage.linear_error(candidate));
  std::vector<size_t> order = ascending(errors);
  std::optional<ModuleProbe> probe;  // runs the module
  if (!feedback) probe.emplace(context.block, index, state);
  const bool by_module = probe && !probe->ends_here();
  if (by_module) {
    order.resize(std::min(order.size(), static_cast<size_t>(settings.finalists)));
    if (std::find(order.begin(), order.end(), size_t{0}) == order.end()) order.push_back(0);
    for (const size_t candidate : order)
      errors[candidate] = stage.module_error(candidates[candidate], *probe);
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return errors[a] < errors[b]; });
  }
  const size_t best = order.front();
  return {candidates[best].scale,
          {{"form", candidates[best].form},
           {"ratio", candidates[best].ratio},
           {"judged_by", feedback    ? "pivots"
                         : by_module ? "module"
                                     : "linear"},
           {"error_unscaled", errors[0]},
           {"error_scaled", errors[best]}}};
}

}  // namespace ptq::quantizer
