#include "ptq/pipeline/compare.h"

#include <memory>

#include "command.h"
#include "data_options.h"
#include "progress.h"
#include "ptq/formats/open.h"
#include "ptq/quant/scheme_name.h"
#include "window_options.h"

namespace ptq::cli {
namespace {

/// Some runs failed; the program ends as the first of them would have alone.
class RunsFailed : public Error {
 public:
  RunsFailed(const std::string& message, int exit_code) : Error(message), exit_code_(exit_code) {}
  int exit_code() const noexcept override { return exit_code_; }

 private:
  int exit_code_;
};

struct CompareArgs {
  CompareJob job;
  DataArgs data;
  WindowArgs windows;
  std::string model, stats, keep, memory_limit;
  std::vector<std::string> schemes{"w4g128"}, settings;
  bool linears = false;
};

void run_compare(CompareArgs& args, CommonArgs& common) {
  apply_common(common, /*on_device=*/true);
  catch_interrupts();
  CompareJob& job = args.job;
  job.model = args.model;
  for (const std::string& name : args.schemes)
    job.schemes.push_back(parse_scheme_name(name));
  job.plugin_options = parse_settings(args.settings);
  job.calibration = args.data.parsed();
  const OpenedModel model = open_directory(job.model);
  job.windows = args.windows.plan(job.model, model.model->config());
  job.stats = args.stats;
  job.keep = args.keep;
  if (!args.memory_limit.empty()) job.memory_limit_bytes = parse_bytes(args.memory_limit);
  job.threads = common.threads;
  job.device = common.device;
  job.command = common.command_line;
  ConsoleProgress progress;
  const CompareReport report = compare_methods(job, progress);
  print(common.json ? report.to_json().dump(2) + "\n"
                    : (args.linears ? report.linears_text() + "\n" : "") + report.text());
  for (const CompareRow& row : report.rows)
    if (!row.failure.empty())
      throw RunsFailed(std::to_string(report.failures()) + " of " +
                           std::to_string(report.rows.size()) + " runs have no figures",
                       row.exit_code);
}

void declare(CLI::App& command, CompareArgs& args) {
  command.add_option("model", args.model, "Hugging Face directory, full precision")
      ->required()
      ->type_name("MODEL");
  command.add_option("--methods", args.job.methods, "Methods, by NAME or LABEL=NAME; see ptq list")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->required()
      ->type_name("NAME");
  command
      .add_option("--schemes", args.schemes,
                  "Bits and group size, as w4g64, w4g64-asym or w4-channel; tables, as w3-lookup")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->type_name("SCHEME")
      ->capture_default_str();
  command.add_option("--set", args.settings, "Option of a method: LABEL.key=value; see ptq list")
      ->type_name("SETTING")
      ->allow_extra_args(false);
  command.add_option("--format", args.job.format, "Layout of the checkpoints; see ptq list")
      ->type_name("NAME")
      ->capture_default_str();
  command.add_option("--skip", args.job.skip, "Leave linears whose name matches as they are")
      ->type_name("REGEX")
      ->allow_extra_args(false);
  command
      .add_option("--override", args.job.overrides,
                  "Another scheme for some linears: 'REGEX:bits=8,group_size=32'")
      ->type_name("RULE")
      ->allow_extra_args(false);
  command
      .add_option("--on-odd-shape", args.job.odd_shape,
                  "When a group does not divide: error, smaller, channel or skip")
      ->type_name("POLICY")
      ->capture_default_str();
  args.data.declare(command);
  args.windows.declare(command, "--eval-");
  command
      .add_option(
          "--stats", args.stats,
          "Statistics of ptq calibrate for the methods that read some with gradients, beside "
          "the calibration data or instead of it")
      ->type_name("DIR");
  command.add_option("--keep", args.keep, "Keep the checkpoints in this new directory")
      ->type_name("DIR");
  command.add_flag("--linears", args.linears, "Print every linear's output error, too");
  command
      .add_option("--memory-limit", args.memory_limit,
                  "Stay below this much memory, for example 4G")
      ->type_name("SIZE");
}

}  // namespace

void add_compare(CLI::App& app, CommonArgs& common) {
  auto args = std::make_shared<CompareArgs>();
  CLI::App* command =
      app.add_subcommand("compare", "Quantize by several methods and schemes and compare them");
  declare(*command, *args);
  add_common(*command, common);
  command->callback([args, &common] { run_compare(*args, common); });
}

}  // namespace ptq::cli
