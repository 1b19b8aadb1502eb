#include <memory>

#include "command.h"
#include "data_options.h"
#include "progress.h"
#include "ptq/pipeline/mixed_precision.h"
#include "ptq/quant/scheme_name.h"

namespace ptq::cli {
namespace {

struct PlanArgs {
  MixedPrecisionJob job;
  DataArgs data;
  SweepArgs sweep;
  std::string model, out = "plan.json", stats, target_size;
  // None of 2 bits: the quadratic model errs there, and plans that may choose them were worse
  // (docs/quality.md).
  std::vector<std::string> candidates = {"w3g32", "w3g64", "w3g128", "w4g64", "w4g128", "w8g128"},
                           settings;
};

void run_plan(PlanArgs& args, CommonArgs& common) {
  apply_common(common);
  catch_interrupts();
  MixedPrecisionJob& job = args.job;
  job.model = args.model;
  job.out = args.out;
  job.stats = args.stats;
  job.data = args.sweep.parsed(args.data);
  if (!args.target_size.empty()) job.target_bytes = parse_bytes(args.target_size);
  for (const std::string& name : args.candidates)
    job.candidates.push_back(parse_scheme_name(name));
  job.plugin_options = parse_settings(args.settings);
  job.command = common.command_line;
  ConsoleProgress progress;
  const MixedPrecisionPlan plan = plan_mixed_precision(job, progress);
  print(common.json ? plan.to_json().dump(2) + "\n"
                    : plan.text() + "written to " + args.out + "\n");
}

void declare(CLI::App& command, PlanArgs& args) {
  MixedPrecisionJob& job = args.job;
  command.add_option("model", args.model, "Hugging Face directory")->required()->type_name("MODEL");
  command.add_option("-o,--out", args.out, "File for the plan; must not exist")
      ->type_name("FILE")
      ->capture_default_str();
  auto* bits =
      command
          .add_option("--target-bpw", job.target_bits,
                      "Budget: bits a weight of the quantized linears, scales and zeros included")
          ->check(CLI::PositiveNumber)
          ->type_name("BITS");
  command
      .add_option("--target-size", args.target_size,
                  "Budget: all tensors of the output, for example 120MB or 1.5GiB")
      ->excludes(bits)
      ->type_name("SIZE");
  command
      .add_option("--estimator", job.estimator,
                  "What predicts the cost of a scheme, by NAME or LABEL=NAME; see ptq list")
      ->required()
      ->type_name("NAME");
  command
      .add_option("--trial", job.trial,
                  "Weigh the errors of this method, tried on every linear, not those of rounding "
                  "to nearest; rtn, gptq or kmeans")
      ->type_name("NAME");
  command.add_option("--candidates", args.candidates, "Schemes that a linear may get")
      ->delimiter(',')
      ->type_name("SCHEME")
      ->capture_default_str();
  command.add_option("--format", job.format, "Layout that the plan is for; see ptq list")
      ->type_name("NAME")
      ->capture_default_str();
  command.add_option("--engine", job.engine, "Only what this engine loads, for example vLLM")
      ->type_name("NAME");
  command.add_flag("--untie", job.untie,
                   "Let linears that read one input differ, which engines that fuse them refuse");
  command.add_option("--skip", job.skip, "Leave linears whose name matches as they are")
      ->type_name("REGEX")
      ->allow_extra_args(false);
  command
      .add_option("--stats", args.stats, "Read the statistics of ptq calibrate instead of a text")
      ->type_name("DIR");
  args.data.declare(command);
  args.sweep.declare(command, /*shards=*/false);
  command
      .add_option(
          "--set", args.settings,
          "Option of the estimator, a statistic or the trial: LABEL.key=value; see ptq list")
      ->type_name("SETTING")
      ->allow_extra_args(false);
  command.add_flag("--resume", job.resume, "Go on with interrupted collecting");
  command.add_flag("--overwrite", job.overwrite, "Replace an existing plan");
}

}  // namespace

void add_plan(CLI::App& app, CommonArgs& common) {
  auto args = std::make_shared<PlanArgs>();
  CLI::App* command = app.add_subcommand(
      "plan", "Choose a scheme for every linear within a budget of bits or bytes");
  declare(*command, *args);
  add_common(*command, common);
  command->callback([args, &common] { run_plan(*args, common); });
}

}  // namespace ptq::cli
