#include "ptq/pipeline/quantize.h"

#include <memory>
#include <utility>

#include "command.h"
#include "data_options.h"
#include "progress.h"

namespace ptq::cli {
namespace {

struct QuantizeArgs {
  QuantizeJob job;
  DataArgs data;
  std::string model, out, preset, base, saliency, memory_limit, stats, plan;
  std::vector<std::string> settings;
  double target_bpw = 0;
  bool symmetric = true, asymmetric = false, lookup = false, no_verify = false, dry_run = false;
};

void declare_method(CLI::App& command, QuantizeArgs& args) {
  command.add_option("--method", args.job.method, "How to quantize; see ptq list")
      ->type_name("NAME")
      ->capture_default_str();
  command.add_option("--preset", args.preset, "Settings of the method: fast, default or best")
      ->type_name("NAME");
  command
      .add_option("--base", args.base,
                  "Quantizer of the dense part, for methods that put one to work; as --set "
                  "METHOD.base")
      ->type_name("NAME");
  command
      .add_option("--saliency", args.saliency,
                  "What tells a method that scales channels how much each matters: a statistic or "
                  "estimator; as --set METHOD.saliency")
      ->type_name("NAME");
  command
      .add_option("--target-bpw", args.target_bpw,
                  "Bits a weight in all, for methods that divide a budget; as --set "
                  "METHOD.target_bpw")
      ->check(CLI::PositiveNumber)
      ->type_name("BITS");
}

void declare_scheme(CLI::App& command, QuantizeArgs& args) {
  PlanRequest& plan = args.job.plan;
  command.add_option("--format", args.job.format, "Layout of the output; see ptq list")
      ->type_name("NAME")
      ->capture_default_str();
  auto* planned =
      command
          .add_option("--plan", args.plan,
                      "Take the scheme of every linear from a plan.json of ptq plan; --skip and "
                      "--override go on from there")
          ->type_name("FILE");
  auto* bits = command.add_option("--bits", plan.scheme.bits, "Bits a weight, 2 to 8")
                   ->type_name("N")
                   ->capture_default_str();
  auto* group_size = command
                         .add_option("--group-size", plan.scheme.group_size,
                                     "Inputs that share a scale; -1: a whole row")
                         ->type_name("N")
                         ->capture_default_str();
  // Bound, both: a config file's "symmetric": false arrives as --symmetric=false.
  auto* symmetric =
      command.add_flag("--symmetric", args.symmetric, "Fixed zero point (the default)");
  auto* asymmetric =
      command.add_flag("--asymmetric", args.asymmetric, "A zero point for every group")
          ->excludes(symmetric);
  auto* lookup =
      command.add_flag("--lookup-table", args.lookup,
                       "A table of values for every row instead of grids (method kmeans)");
  for (auto* grid : {group_size, symmetric, asymmetric})
    lookup->excludes(grid);
  for (auto* scheme : {bits, group_size, symmetric, asymmetric, lookup})
    planned->excludes(scheme);
  command.add_option("--skip", plan.skip, "Leave linears whose name matches as they are")
      ->type_name("REGEX")
      ->allow_extra_args(false);
  command
      .add_option("--override", plan.overrides,
                  "Another scheme for some linears: 'REGEX:bits=8,group_size=32'")
      ->type_name("RULE")
      ->allow_extra_args(false);
  command
      .add_option("--on-odd-shape", plan.odd_shape,
                  "When a group does not divide: error, smaller, channel or skip")
      ->type_name("POLICY")
      ->capture_default_str();
  command
      .add_option("--set", args.settings,
                  "Option of a method or format: NAME.key=value; see ptq list")
      ->type_name("SETTING")
      ->allow_extra_args(false);
}

void declare_run(CLI::App& command, QuantizeArgs& args) {
  command
      .add_option(
          "--stats", args.stats,
          "Read the statistics of ptq calibrate instead of calibration data, or beside it where "
          "the method's options say so")
      ->type_name("DIR");
  command
      .add_option("--memory-limit", args.memory_limit,
                  "Stay below this much memory, for example 4G")
      ->type_name("SIZE");
  command
      .add_option("--max-fallbacks", args.job.max_fallbacks,
                  "Fail (exit 5) above so many fallbacks")
      ->check(CLI::NonNegativeNumber)
      ->type_name("N")
      ->capture_default_str();
  command.add_flag("--no-verify", args.no_verify, "Do not read back and compare what was written");
  command.add_flag("--resume", args.job.resume, "Go on with an interrupted run");
  command.add_flag("--overwrite", args.job.overwrite, "Replace an existing output");
  command.add_flag("--dry-run", args.dry_run,
                   "Print the plan, sizes, memory and time; write nothing");
}

/// The method's options that have a flag; one that is set by its own name counts more.
void set_method_options(QuantizeArgs& args) {
  const auto set = [&](const char* key, const Json& value) {
    Json& options = args.job.plugin_options[args.job.method];
    if (!options.contains(key)) options[key] = value;
  };
  if (!args.preset.empty()) set("preset", args.preset);
  if (!args.base.empty()) set("base", args.base);
  if (!args.saliency.empty()) set("saliency", args.saliency);
  if (args.target_bpw > 0) set("target_bpw", args.target_bpw);
}

void run_quantize(QuantizeArgs& args, CommonArgs& common) {
  apply_common(common, /*on_device=*/true);
  catch_interrupts();
  QuantizeJob& job = args.job;
  job.model = args.model;
  job.out = args.out;
  job.plan.scheme.symmetric = args.symmetric && !args.asymmetric;
  if (args.lookup) job.plan.scheme = {job.plan.scheme.bits, -1, true, true};
  if (!args.plan.empty()) job.plan.decided = read_scheme_plan(args.plan);
  job.plugin_options = parse_settings(args.settings);
  set_method_options(args);
  job.calibration = args.data.parsed();
  job.stats = args.stats;
  if (!args.memory_limit.empty()) job.memory_limit_bytes = parse_bytes(args.memory_limit);
  job.verify = !args.no_verify;
  job.threads = common.threads;
  job.device = common.device;
  job.command = common.command_line;
  if (args.out.empty() && !args.dry_run)
    throw ConfigError("--out is required", "name the output directory, or --dry-run");
  ConsoleProgress progress;
  if (args.dry_run) {
    const QuantizePlan plan = plan_quantize(job, progress);
    for (const std::string& warning : plan.warnings)
      progress.warning(warning);
    print(common.json ? plan.to_json().dump(2) + "\n" : plan.text());
    return;
  }
  const QuantizeReport report = quantize_checkpoint(job, progress);
  Json json = report.to_json();
  json["timing"] = report.timing_json();
  json["output"] = args.out;
  print(common.json ? json.dump(2) + "\n" : report.text() + "written to " + args.out + "\n");
}

}  // namespace

void add_quantize(CLI::App& app, CommonArgs& common) {
  auto args = std::make_shared<QuantizeArgs>();
  CLI::App* command = app.add_subcommand("quantize", "Quantize a checkpoint");
  command->add_option("model", args->model, "Hugging Face directory")
      ->required()
      ->type_name("MODEL");
  command->add_option("-o,--out", args->out, "Output directory; must not exist")->type_name("DIR");
  declare_method(*command, *args);
  declare_scheme(*command, *args);
  args->data.declare(*command);
  declare_run(*command, *args);
  add_common(*command, common);
  command->callback([args, &common] { run_quantize(*args, common); });
}

}  // namespace ptq::cli
