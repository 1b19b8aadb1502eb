#include "scale_search.h"

#include <algorithm>
#include <numeric>

#include <ATen/ATen.h>

#include "module_probe.h"
#include "ptq/quantizers/grid.h"
#include "quadratic_form.h"
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
        gram_(context.stats[index].sum("gram")),
        channel_(context.block.input_producer(index).channel),
        factors_(input_factors(context.block, index)) {
    for (const Linear& linear : stage_.linears)
      rows_ += linear.site().out_features;
    for (const Linear& linear : stage_.linears)
      samples_.push_back(sample(linear.weight()));
    for (const at::Tensor& some : samples_)
      energy_ += quadratic_form(some, gram_);
    saliency_ = context.stats[index].sum(settings.saliency).to(at::kDouble);
    if (settings.saliency != "mean-magnitude") saliency_ = saliency_.sqrt();
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

  double module_error(const ScaleCandidate& candidate, ModuleProbe& probe) const {
    std::vector<at::Tensor> weights;
    for (size_t i = 0; i < stage_.linears.size(); ++i)
      weights.push_back(rounded(i, stage_.linears[i].weight(), candidate));
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
    const at::ScalarType dtype = context_.stored(stage_.linears[i].site().name + ".weight");
    const Grids grids = fit_grids(scaled, scheme(i), dtype, fit);
    const RoundedWeight nearest = round_to_nearest(scaled, scheme(i), grids);
    const QuantizedTensor result{nearest.q, grids.scale, grids.zero,
                                 contiguous_groups(scheme(i), weight.size(1)), scheme(i)};
    return result.dequantize().div_(factor);
  }

  const BlockContext& context_;
  const ScaleSearchSettings& settings_;
  const Stage& stage_;
  const at::Tensor& gram_;
  at::Tensor channel_, saliency_;
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
  for (const ScaleCandidate& candidate : candidates)
    errors.push_back(stage.linear_error(candidate));
  std::vector<size_t> order = ascending(errors);
  ModuleProbe probe(context.block, index, state);
  if (!probe.ends_here()) {
    order.resize(std::min(order.size(), static_cast<size_t>(settings.finalists)));
    if (std::find(order.begin(), order.end(), size_t{0}) == order.end()) order.push_back(0);
    for (const size_t candidate : order)
      errors[candidate] = stage.module_error(candidates[candidate], probe);
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return errors[a] < errors[b]; });
  }
  const size_t best = order.front();
  return {candidates[best].scale,
          {{"form", candidates[best].form},
           {"ratio", candidates[best].ratio},
           {"judged_by", probe.ends_here() ? "linear" : "module"},
           {"error_unscaled", errors[0]},
           {"error_scaled", errors[best]}}};
}

}  // namespace ptq::quantizer
