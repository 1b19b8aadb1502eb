#include "gptq_settings.h"

#include <string>

namespace ptq::quantizer {
namespace {

/// What each preset sets where the user does not; docs/quantizers.md says why.
const Json& presets() {
  static const Json all = {
      {"fast", {{"grid", "minmax"}}},
      {"default", Json::object()},
      {"best", {{"target", "full-precision"}, {"refit", true}, {"descent", 2}}},
  };
  return all;
}

ColumnOrder order_of(const std::string& name) {
  if (name == "none") return ColumnOrder::kNone;
  return name == "activation" ? ColumnOrder::kActivation : ColumnOrder::kGroupAware;
}

void read_hessian(Options& options, GptqSettings& settings) {
  settings.weighted =
      options.get_choice("hessian", "gram", {"gram", "weighted"},
                         "what the error is measured by: gram (outputs) or weighted (outputs "
                         "weighted by the loss gradient; needs --stats with weighted-gram)") ==
      "weighted";
  settings.first_token = options.get(
      "first_token", true,
      "false: the first token of every calibration window, on which attention sinks lie, is left "
      "out of what the error is measured on");
  if (settings.weighted && !settings.first_token)
    throw ConfigError("quantizer gptq: first_token=false needs hessian=gram",
                      "the weighted statistics are over all tokens");
  settings.hessian.damping =
      options.get_in("damping", 0.01, 0.0, 10.0,
                     "added to the Hessian's diagonal, as a part of damping_scale; 0 to 10");
  settings.hessian.damping_scale =
      options.get_choice("damping_scale", "mean", {"mean", "median"},
                         "what damping is a part of: mean or median of the diagonal") == "mean"
          ? DampingScale::kMean
          : DampingScale::kMedian;
  settings.token_damping = options.get(
      "token_damping", false,
      "true: damping times sqrt(16 in / N) for inputs with fewer than 16 in calibration tokens N; "
      "with hessian=weighted N is what the weights leave of them, and --stats needs "
      "gradient-energy");
  settings.hessian.order = order_of(options.get_choice(
      "order", "activation", {"activation", "group-aware", "none"},
      "column order: activation (largest inputs first), group-aware (groups by their largest "
      "input, then the columns of each), both with grids fitted before, or none (left to right, "
      "each group's grid fitted to the weights as updated so far)"));
}

void read_target(Options& options, const Json& preset, GptqSettings& settings) {
  const std::string target = settings.weighted ? "self" : preset.value("target", "self");
  settings.corrects =
      options.get_choice("target", target, {"self", "full-precision"},
                         "whose outputs are aimed at: self (the weight's own on the quantized "
                         "model's inputs) or full-precision (those of the unquantized model, whose "
                         "states are kept beside)") == "full-precision";
  settings.most_drift = options.get_in(
      "max_drift", 0.3, 0.0, 1e6,
      "target=full-precision: the correction is halved until it is at most this part of the "
      "weight's norm; 0 to 1e6");
  if (settings.corrects && settings.weighted)
    throw ConfigError("quantizer gptq: target=full-precision needs hessian=gram",
                      "the weighted statistics are of the unquantized model alone");
}

}  // namespace

GptqSettings read_gptq_settings(Options& options) {
  GptqSettings settings;
  const Json& preset = presets().at(options.get_choice(
      "preset", "default", {"fast", "default", "best"},
      "the options that are not given: fast (grid=minmax), default, or best "
      "(target=full-precision, refit, descent=2; two forward passes in place of one)"));
  read_hessian(options, settings);
  read_target(options, preset, settings);
  const std::string grid = options.get_choice(
      "grid", preset.value("grid", "hessian"), {"minmax", "mse", "hessian"},
      "how a group's grid is found: minmax (full range), mse (least squared error) or hessian "
      "(least squared error weighted by the Hessian's diagonal)");
  settings.search = grid != "minmax";
  settings.importance = grid == "hessian";
  settings.magr.strength = options.get_in(
      "magr", 0.0, 0.0, 1.0,
      "above 0 every row is also rounded with its groups' ranges made smaller as far as outputs "
      "stay, and the better result taken: the pull on a group's largest weight, relative to it; "
      "for few bits; 0 to 1");
  settings.magr.iterations =
      options.get_in<int64_t>("magr_iterations", 20, 1, 10000, "steps of it; 1 to 10000");
  settings.refit =
      options.get("refit", preset.value("refit", false),
                  "true: after the rounding every scale is fitted once more to the codes");
  settings.descent = options.get_in<int64_t>(
      "descent", preset.value("descent", int64_t{0}), 0, 100,
      "passes over the codes after the rounding, each code moved to where the error is least; with "
      "refit, scales again after each; 0 to 100");
  return settings;
}

}  // namespace ptq::quantizer
