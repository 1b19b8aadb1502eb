// AWQ (Lin et al., arXiv:2306.00978): scales input channels up that matter, so that rounding hurts
// them less, and folds the inverse into what makes the input; then cuts the ranges of the groups.
#include <algorithm>

#include <ATen/ATen.h>

#include "group_clip.h"
#include "ptq/model/quadratic_form.h"
#include "ptq/quantizers/grid.h"
#include "ptq/quantizers/quantizer.h"
#include "scale_search.h"
#include "scheme_check.h"

namespace ptq::quantizer {
namespace {

struct AwqSettings {
  ScaleSearchSettings scale;
  int64_t tokens = 1024;  ///< that judge the finalists by the module's output
  bool clip = false;
  bool unquantized = false;  ///< scales are found on the inputs that the unquantized model gives
  bool gptq = false;         ///< what was scaled is rounded by GPTQ, not to nearest
};

class Awq : public Quantizer {
 public:
  explicit Awq(const AwqSettings& settings)
      : settings_(settings), gptq_(settings.gptq ? quantizers().make("gptq") : nullptr) {}

  std::vector<std::string> statistics() const override { return {"gram"}; }
  bool prepares_blocks() const override { return true; }
  bool prepares_unquantized() const override { return settings_.unquantized; }
  std::vector<std::string> block_statistics() const override {
    std::vector<std::string> names = settings_.scale.saliency.block_statistics();
    if (std::find(names.begin(), names.end(), "gram") == names.end())
      names.insert(names.begin(), "gram");
    return names;
  }
  std::vector<std::string> stored_statistics() const override {
    return settings_.scale.saliency.stored_statistics();
  }

  std::optional<std::string> data_warning(int64_t tokens, int64_t in_features) const override {
    return gptq_ ? gptq_->data_warning(tokens, in_features) : std::nullopt;
  }

  int64_t prepare_bytes(const std::vector<LinearSite>& block, int64_t sequences,
                        int64_t seq) const override {
    int64_t stage = 0, widest = 0, scores = 0;
    for (const LinearSite& site : block) {
      int64_t weights = 0;
      for (const LinearSite& other : block)
        if (other.input == site.input) weights += other.out_features * other.in_features;
      stage = std::max(stage, weights);
      widest = std::max({widest, site.in_features, site.out_features});
      scores = std::max(scores, settings_.scale.saliency.bytes(site));
    }
    // A stage's weights rounded, one of them scaled beside, or before that the scores of one; a
    // module's activations.
    return std::max(stage * 4 * 3, scores) + sampled(sequences, seq) * seq * widest * 4 * 6;
  }

  int64_t workspace_bytes(const LinearSite& site) const override {
    if (gptq_) return gptq_->workspace_bytes(site);
    // A weight that was cut, or what it was rounded by, and the product that judges a group.
    return site.out_features * site.in_features * (4 * 3 + 1) +
           quadratic_form_bytes(site.out_features, site.in_features);
  }

  BlockNotes prepare_block(const BlockContext& context) const override {
    BlockNotes notes;
    std::vector<std::pair<size_t, at::Tensor>> scales;
    BlockState state{sample(context.states), {}};
    const std::vector<Stage>& stages = context.block.stages();
    for (size_t stage = 0; stage < stages.size(); ++stage) {
      Json report;
      if (const auto refusal = context.refusal(stage)) {
        report = {{"form", "none"}, {"not_scaled", *refusal}};
      } else {
        ScaleChoice choice = search_scale(context, stage, state, settings_.scale);
        scales.emplace_back(stage, choice.scale);
        report = std::move(choice.report);
      }
      for (const Linear& linear : stages[stage].linears)
        notes[linear.site().name] = {{"scale", report}};
      if (stage + 1 < stages.size()) context.block.run_stage(stage, state);
    }
    // Not before: a factor on one stage's input changes what the stage before it gives.
    for (const auto& [stage, scale] : scales)
      scale_input(context.block, stage, scale, context.stored);
    return notes;
  }

  QuantizedSite quantize(const SiteView& site, const QuantScheme& scheme) const override {
    if (gptq_) return gptq_->quantize(site, scheme);
    require_whole_groups(site.site, scheme);
    const at::Tensor weight = site.weight.contiguous();
    const at::Tensor& gram = site.stats.sum("gram");
    QuantizedSite result;
    result.weight = round_to_nearest(weight, scheme, grids_of(site, weight, scheme)).weight;
    const double energy = quadratic_form(weight, gram);
    if (energy > 0)
      result.relative_error =
          quadratic_form(result.weight.dequantize().sub_(weight), gram) / energy;
    return result;
  }

 private:
  /// The clip search leaves out what only makes scores, as the paper's code does: what its outputs
  /// do passes a product of two of them and a softmax, which the error of one alone says little of.
  Grids grids_of(const SiteView& site, const at::Tensor& weight, const QuantScheme& scheme) const {
    const at::Tensor& gram = site.stats.sum("gram");
    if (!settings_.clip)
      return fit_grids(weight, scheme, site.model_dtype, {true, gram.diagonal()});
    if (site.site.scores_only) return fit_grids(weight, scheme, site.model_dtype, {});
    return fit_group_grids(weight, scheme, site.model_dtype, gram);
  }

  /// Some sequences, evenly apart.
  at::Tensor sample(const at::Tensor& states) const {
    const int64_t count = sampled(states.size(0), states.size(1));
    return states.slice(0, 0, states.size(0), states.size(0) / count).slice(0, 0, count);
  }

  /// How many of `sequences` of `seq` tokens judge the finalists: at least one.
  int64_t sampled(int64_t sequences, int64_t seq) const {
    return std::min(sequences, std::max<int64_t>(1, settings_.tokens / seq));
  }

  AwqSettings settings_;
  std::unique_ptr<Quantizer> gptq_;
};

ScaleSearchSettings scale_settings(Options& options) {
  std::string names;
  for (const std::string& name : ChannelSaliency::names())
    names += "|" + name;
  ScaleSearchSettings settings;
  const auto saliency = options.get<std::string>(
      "saliency", "auto",
      "the statistic or estimator that tells how much an input channel matters; auto: "
      "mean-magnitude, or the Hessian's pivots with rounding=gptq; where it reads gradients, name "
      "a store that has them with --stats, beside --calibration (auto" +
          names + ")");
  const auto of_it = options.get<Json>("saliency_options", Json::object(),
                                       "the estimator's, as a JSON object: {\"damping\":0.1}");
  settings.pivots = saliency == "auto";
  settings.saliency = ChannelSaliency(settings.pivots ? "mean-magnitude" : saliency, of_it);
  return settings;
}

}  // namespace

std::unique_ptr<Quantizer> awq(Options& options) {
  AwqSettings settings;
  settings.scale = scale_settings(options);
  settings.scale.rows = options.get_in<int64_t>(
      "rows", 256, 1, 1 << 20, "rows of a stage's weights that judge every scale; 1 to 1048576");
  settings.scale.finalists = options.get_in<int64_t>(
      "finalists", 6, 1, 41, "scales that the output of attention or MLP judges; 1 to 41");
  settings.scale.search_grids = options.get_choice("judge", "minmax", {"minmax", "searched"},
                                                   "what a scale is judged with: grids of the full "
                                                   "range or searched ones") == "searched";
  settings.tokens = options.get_in<int64_t>(
      "tokens", 1024, 1, 1 << 24, "tokens that judge them, in whole windows; 1 to 16777216");
  settings.clip = options.get<bool>(
      "clip", false,
      "whether the ranges of groups are cut by what that does to their part of the output; those "
      "of what only makes the scores of attention then stay whole");
  settings.unquantized =
      options.get_choice("propagate", "quantized", {"quantized", "fp"},
                         "the inputs that scales are found on: behind the blocks quantized so far, "
                         "or those of the unquantized model, which then runs beside") == "fp";
  settings.gptq = options.get_choice("rounding", "rtn", {"rtn", "gptq"},
                                     "how the scaled weights are rounded") == "gptq";
  settings.scale.feedback = settings.gptq;
  return std::make_unique<Awq>(settings);
}

}  // namespace ptq::quantizer
