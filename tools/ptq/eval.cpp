#include <map>
#include <memory>

#include <spdlog/spdlog.h>

#include "command.h"
#include "progress.h"
#include "ptq/eval/evaluate.h"
#include "ptq/eval/gates.h"
#include "ptq/formats/open.h"
#include "ptq/io/memory.h"
#include "ptq/model/device.h"
#include "ptq/report/table.h"
#include "window_options.h"

namespace ptq::cli {
namespace {

struct EvalArgs {
  std::string model, reference, baseline, write_baseline, backend = "auto";
  std::vector<std::string> settings;
  WindowArgs windows;
  std::optional<double> max_perplexity, max_kl;
  double tolerance = 0.01;
};

std::string perplexity_line(const std::string& name, const PerplexityResult& result) {
  return name + ": perplexity " + fixed(result.perplexity, 4) + " +/- " +
         fixed(result.standard_error, 4) + " (" + result.protocol + " protocol, " +
         std::to_string(result.windows) + " windows of " + std::to_string(result.seqlen) +
         (result.protocol == "sliding" ? ", stride " + std::to_string(result.stride) : "") + ", " +
         std::to_string(result.scored_tokens) + " tokens scored)\n";
}

std::string text_of(const EvalArgs& args, const EvalResult& result) {
  std::string text = perplexity_line(args.model, result.model);
  if (result.reference) text += perplexity_line(args.reference, *result.reference);
  if (result.kl) {
    text += "KL to the reference: " + fixed(result.kl->mean_nats, 5) + " +/- " +
            fixed(result.kl->standard_error, 5) + " nats per token, same top token " +
            fixed(100 * result.kl->top1_agreement, 2) + " %\n";
    Table table({"percent of tokens", "KL below, nats"});
    for (const auto& [percent, nats] : result.kl->quantiles)
      table.add({fixed(percent, 2), fixed(nats, 5)});
    text += table.text();
  }
  const double rate = static_cast<double>(result.tokens) / result.seconds;
  return text + fixed(result.seconds, 1) + " s, " + fixed(rate, 0) + " tokens/s, peak memory " +
         human_bytes(peak_rss_bytes()) + "\n";
}

OpenedModel open_on_backends(const EvalArgs& args, const BackendSelection& backends,
                             at::Device device) {
  // No backend multiplies where a GPU's activations lie: unless one is asked for, a block's linears
  // are dequantized while it is in memory.
  const bool dense = !device.is_cpu() && args.backend == "auto";
  if (dense && !args.settings.empty())
    throw ConfigError("--set: on a GPU no backend runs unless --backend names one",
                      "add --backend NAME, or leave --set out");
  OpenedModel opened = open_directory(args.model, dense ? nullptr : &backends, device);
  if (opened.plan.empty() && args.backend != "auto")
    throw UnsupportedError(
        "--backend " + args.backend + ": " + args.model + " has no quantized linear for it to run",
        "leave --backend out for a full-precision directory");
  for (const std::string& reason : backends.left_out())
    spdlog::debug("not used: backend {}", reason);
  return opened;
}

/// The linears by what they run on.
std::map<std::string, int64_t> count_backends(const OpenedModel& opened) {
  std::map<std::string, int64_t> count;
  if (opened.packed == nullptr && !opened.plan.empty())
    count["dequantized"] = static_cast<int64_t>(opened.plan.size());
  for (const auto& [site, backend] : opened.backend_of())
    ++count[backend];
  return count;
}

/// What the figures are of that another engine would not run.
std::string sparse_line(const OpenedModel& opened) {
  if (opened.sparse == nullptr) return "";
  return "with " + std::to_string(opened.sparse->total_count()) + " single weights of " +
         kSparseFile + "; engines that do not read it run another model\n";
}

std::string backend_line(const OpenedModel& opened) {
  std::string text;
  for (const auto& [name, count] : count_backends(opened))
    text += (text.empty() ? "quantized linears: " : ", ") + std::to_string(count) + " on " + name;
  return text.empty() ? "" : text + "\n";
}

void warn_of_refusals(const OpenedModel& opened, ConsoleProgress& progress) {
  const auto refusals = opened.backend_refusals();
  if (refusals.empty()) return;
  const auto& [site, reasons] = *refusals.begin();
  progress.warning(std::to_string(refusals.size()) +
                   " linears run on another backend than was chosen; " + site + ": " +
                   reasons.front());
}

void run_eval(const EvalArgs& args, CommonArgs& common) {
  apply_common(common, /*on_device=*/true);
  catch_interrupts();
  ConsoleProgress progress;
  const at::Device device = open_device(common.device);
  const BackendSelection backends(args.backend, parse_settings(args.settings));
  const OpenedModel opened = open_on_backends(args, backends, device);
  OpenedModel reference;
  if (!args.reference.empty()) reference = open_directory(args.reference, nullptr, device);
  GateRequest gates{args.max_perplexity, args.max_kl, std::nullopt, args.tolerance};
  if (!args.baseline.empty()) gates.baseline = read_baseline(args.baseline);
  if (args.max_kl && !reference.model) throw ConfigError("--max-kl needs a --reference");
  const WindowPlan plan = args.windows.plan(args.model, opened.model->config());
  for (const OpenedModel* one : {&opened, static_cast<const OpenedModel*>(&reference)})
    for (const std::string& note : one->notes)
      progress.warning(note);
  progress.begin("evaluating", 1, 0);
  EvalSettings settings;
  settings.progress = [&](const EvalProgress& at) {
    poll_interrupts();
    progress.draw(at.fraction, at.step);
  };
  const EvalResult result = evaluate(*opened.model, reference.model.get(), plan, settings);
  warn_of_refusals(opened, progress);
  const auto outcomes = check_gates(result, gates);
  progress.note("evaluated " + std::to_string(result.tokens) + " tokens");
  Json json = result.to_json();
  json["peak_rss_bytes"] = peak_rss_bytes();
  json["device"] = common.device;
  json["backends"] = count_backends(opened);
  json["sparse_values"] = opened.sparse == nullptr ? 0 : opened.sparse->total_count();
  json["backends_left_out"] = backends.left_out();
  json["backend_refusals"] = opened.backend_refusals();
  json["gates"] = Json::array();
  std::string text = text_of(args, result) + backend_line(opened) + sparse_line(opened);
  for (const GateOutcome& outcome : outcomes) {
    json["gates"].push_back(outcome.to_json());
    text += outcome.text + "\n";
  }
  print(common.json ? json.dump(2) + "\n" : text);
  require_passed(outcomes);
  // Only now: a result that fails must not become what the next one is held against.
  if (!args.write_baseline.empty()) write_baseline(args.write_baseline, result);
}

void declare_gates(CLI::App& command, EvalArgs& args) {
  command
      .add_option("--max-perplexity", args.max_perplexity, "Fail (exit 6) above this perplexity")
      ->type_name("X");
  command.add_option("--max-kl", args.max_kl, "Fail (exit 6) above this mean KL in nats per token")
      ->type_name("X");
  command
      .add_option("--baseline", args.baseline, "Fail (exit 6) if worse than this earlier result")
      ->type_name("FILE");
  command
      .add_option("--tolerance", args.tolerance,
                  "Share of the baseline's perplexity that may be lost")
      ->type_name("R")
      ->capture_default_str();
  command.add_option("--write-baseline", args.write_baseline, "Store the result as a baseline")
      ->type_name("FILE");
}

}  // namespace

void add_eval(CLI::App& app, CommonArgs& common) {
  auto args = std::make_shared<EvalArgs>();
  CLI::App* command = app.add_subcommand(
      "eval", "Perplexity of a checkpoint, and its KL divergence from a reference");
  command->add_option("model", args->model, "Hugging Face directory, full precision or quantized")
      ->required()
      ->type_name("MODEL");
  args->windows.declare(*command);
  command->add_option("--reference", args->reference, "Compare with this directory token by token")
      ->type_name("DIR");
  command
      ->add_option("--backend", args->backend,
                   "What multiplies by quantized weights: auto (the fastest that takes each), or "
                   "the name of one (ptq list)")
      ->type_name("NAME")
      ->capture_default_str();
  command->add_option("--set", args->settings, "Option of a backend: NAME.key=value; see ptq list")
      ->type_name("SETTING")
      ->allow_extra_args(false);
  declare_gates(*command, *args);
  add_common(*command, common);
  command->callback([args, &common] { run_eval(*args, common); });
}

}  // namespace ptq::cli
