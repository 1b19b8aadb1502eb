// Learned rounding by what a block's linears together do to its output (SignRound / AutoRound,
// Cheng et al., arXiv:2309.05516), begun at the result of another method.
#include <algorithm>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "ptq/quantizers/quantizer.h"
#include "rounding_tuner.h"

namespace ptq::quantizer {
namespace {

/// ‖(Ŵ−W) x‖² / ‖W x‖² of every linear in `after`, over the last `windows` of the block's input.
std::map<std::string, double> output_errors(const RefineContext& context,
                                            const std::map<std::string, QuantizedTensor>& after,
                                            int64_t windows) {
  std::map<std::string, double> errors, energies;
  const int64_t all = context.input.size(0);
  for (int64_t window = all - windows; window < all; ++window) {
    BlockState state{context.input.narrow(0, window, 1), {}};
    for (size_t stage = 0; stage < context.block.stages().size(); ++stage) {
      const at::Tensor x = context.block.stage_input(stage, state);
      for (const Linear& linear : context.block.stages()[stage].linears) {
        const std::string& name = linear.site().name;
        if (after.count(name) == 0) continue;
        const at::Tensor weight = context.weights.at(name).to(x.device());
        const auto energy = [&](const at::Tensor& w) {
          return affine(x, w).square_().sum(at::kDouble).item<double>();
        };
        errors[name] += energy(linear.weight() - weight);
        energies[name] += energy(weight);
      }
      context.block.run_stage(stage, x, state);
    }
  }
  for (auto& [name, error] : errors)
    if (energies.at(name) > 0) error /= energies.at(name);
  return errors;
}

class AutoRound : public Quantizer {
 public:
  AutoRound(std::unique_ptr<Quantizer> start, const TunerSettings& settings)
      : start_(std::move(start)), settings_(settings) {}

  std::vector<std::string> statistics() const override { return start_->statistics(); }
  std::optional<std::string> data_warning(int64_t tokens, int64_t in_features) const override {
    return start_->data_warning(tokens, in_features);
  }
  std::optional<std::string> too_few(int64_t sequences) const override {
    if (sequences >= 2) return start_->too_few(sequences);
    return "learned rounding needs at least two calibration windows: one judges what the others "
           "taught";
  }
  int64_t workspace_bytes(const LinearSite& site) const override {
    return start_->workspace_bytes(site);
  }
  std::vector<std::string> stored_statistics() const override {
    if (settings_.loss != BlockLoss::kFisher) return {};
    return {"gradient-energy"};
  }
  QuantizedSite quantize(const SiteView& site, const QuantScheme& scheme) const override {
    return start_->quantize(site, scheme);
  }

  bool refines_blocks() const override { return true; }
  std::optional<std::string> cannot_refine(const Block& block) const override {
    return settings_.loss == BlockLoss::kFisher ? fisher_refusal(block) : std::nullopt;
  }

  int64_t refine_bytes(const std::vector<LinearSite>& block, int64_t tokens) const override {
    int64_t weights = 0, outputs = 0;
    for (const LinearSite& site : block) {
      weights += site.out_features * site.in_features;
      outputs += site.out_features + site.in_features;
    }
    // Places, gradients and what is remembered of them, codes and the best of them; inputs, outputs
    // and gradients of the linears and as much for what lies between them.
    return weights * (4 + 4 + 2 * 4 + 1 + 1) + tokens * outputs * 4 * 4;
  }

  std::map<std::string, QuantizedSite> refine_block(const RefineContext& context) const override {
    const at::NoGradGuard unrecorded;
    TunedBlock tuned = tune_rounding(context, settings_);
    const std::map<std::string, double> errors =
        output_errors(context, tuned.weights, tuned.heldout);
    const Json note = {{"block_loss_before", tuned.loss_before},
                       {"block_loss", tuned.loss},
                       {"best_iteration", tuned.iteration},
                       {"heldout_windows", tuned.heldout}};
    std::map<std::string, QuantizedSite> sites;
    for (auto& [name, weight] : tuned.weights) {
      const at::Tensor& before = context.quantized.at(name).q;
      QuantizedSite& site = sites[name];
      site.details = {{"learned", note}};
      site.details["learned"]["codes_changed"] =
          weight.q.ne(before).sum().item<double>() / static_cast<double>(before.numel());
      site.relative_error = errors.at(name);
      site.weight = std::move(weight);
    }
    return sites;
  }

 private:
  std::unique_ptr<Quantizer> start_;
  TunerSettings settings_;
};

}  // namespace

std::unique_ptr<Quantizer> autoround(Options& options) {
  TunerSettings settings;
  const std::string start = options.get_choice("start", "gptq", {"rtn", "gptq"},
                                               "the method whose codes and scales are begun with");
  const std::string preset = options.get_choice("preset", "best", {"fast", "default", "best"},
                                                "of start=gptq: its settings taken together");
  settings.iterations =
      options.get_in<int64_t>("iterations", 100, 1, 1 << 20, "steps for every block; 1 to 1048576");
  settings.batch =
      options.get_in<int64_t>("batch", 8, 1, 1 << 20, "windows a step sees; 1 to 1048576");
  settings.rate = options.get_in("rate", 0.5, 0.0, 100.0,
                                 "first step of a weight, in code units over iterations; the last "
                                 "steps are nearly 0; 0 to 100");
  settings.scale_rate = options.get_in("scale_rate", 0.3, 0.0, 100.0,
                                       "likewise of a group's scale, relative to it; 0 to 100");
  const std::string optimizer =
      options.get_choice("optimizer", "adam", {"adam", "sign"},
                         "what decides a step: running means of the gradient, or its sign alone");
  if (optimizer == "sign") settings.optimizer = Optimizer::kSign;
  const std::string loss = options.get_choice(
      "loss", "squared", {"squared", "relative", "fisher"},
      "what an error of the block's output counts: its square; relative to the token's target; or "
      "weighted by the channel's squared loss gradients (needs --stats with gradient-energy)");
  if (loss == "relative") settings.loss = BlockLoss::kRelative;
  if (loss == "fisher") settings.loss = BlockLoss::kFisher;
  settings.seed = options.get_in<uint64_t>("seed", 0, 0, uint64_t{1} << 62,
                                           "of the order of the windows; 0 to 2^62");
  const Json values = start == "gptq" ? Json{{"preset", preset}} : Json::object();
  return std::make_unique<AutoRound>(quantizers().make(start, values), settings);
}

}  // namespace ptq::quantizer
