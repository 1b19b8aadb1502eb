#include "ptq/pipeline/calibrate.h"

#include <memory>

#include "command.h"
#include "data_options.h"
#include "progress.h"

namespace ptq::cli {
namespace {

struct CalibrateArgs {
  CalibrateJob job;
  DataArgs data;
  SweepArgs sweep;
  std::string model, out;
  std::vector<std::string> settings;
};

void run_calibrate(CalibrateArgs& args, CommonArgs& common) {
  apply_common(common, /*on_device=*/true);
  catch_interrupts();
  CalibrateJob& job = args.job;
  job.model = args.model;
  job.out = args.out;
  job.data = args.sweep.parsed(args.data);
  job.plugin_options = parse_settings(args.settings);
  job.device = common.device;
  job.command = common.command_line;
  ConsoleProgress progress;
  const CalibrateReport report = calibrate(job, progress);
  Json json = report.to_json();
  json["output"] = args.out;
  print(common.json ? json.dump(2) + "\n" : report.text() + "written to " + args.out + "\n");
}

struct MergeArgs {
  std::vector<std::string> inputs;
  std::string out;
};

void run_merge(const MergeArgs& args, CommonArgs& common) {
  apply_common(common);
  const StoreManifest manifest = merge_stores({args.inputs.begin(), args.inputs.end()}, args.out);
  if (common.json) {
    print(manifest.to_json().dump(2) + "\n");
    return;
  }
  print("windows " + manifest.covered() + ", " + std::to_string(manifest.counts.tokens) +
        " tokens" + (manifest.complete() ? "" : ": not all of the text yet") + "\nwritten to " +
        args.out + "\n");
}

}  // namespace

void add_calibrate(CLI::App& app, CommonArgs& common) {
  auto args = std::make_shared<CalibrateArgs>();
  CLI::App* command =
      app.add_subcommand("calibrate", "Collect statistics of every linear for later runs");
  command->add_option("model", args->model, "Hugging Face directory")
      ->required()
      ->type_name("MODEL");
  command->add_option("-o,--out", args->out, "Directory for the statistics; must not exist")
      ->required()
      ->type_name("DIR");
  command->add_option("--collect", args->job.collect, "Statistics to collect; see ptq list")
      ->delimiter(',')
      ->required()
      ->type_name("NAME");
  args->data.declare(*command);
  args->sweep.declare(*command, /*shards=*/true);
  command
      ->add_option("--set", args->settings, "Option of a statistic: NAME.key=value; see ptq list")
      ->type_name("SETTING")
      ->allow_extra_args(false);
  command->add_flag("--resume", args->job.resume, "Go on with an interrupted run");
  command->add_flag("--overwrite", args->job.overwrite, "Replace an existing output");
  add_common(*command, common);
  command->callback([args, &common] { run_calibrate(*args, common); });
}

void add_stats(CLI::App& app, CommonArgs& common) {
  CLI::App* command = app.add_subcommand("stats", "Work with collected statistics");
  command->require_subcommand(1);
  auto args = std::make_shared<MergeArgs>();
  CLI::App* merge = command->add_subcommand("merge", "Add statistics of parts of one text");
  merge->add_option("inputs", args->inputs, "Directories of ptq calibrate --shard")
      ->required()
      ->expected(1, -1)
      ->type_name("DIR");
  merge->add_option("-o,--out", args->out, "Directory for the sum; must not exist")
      ->required()
      ->type_name("DIR");
  add_common(*merge, common);
  merge->callback([args, &common] { run_merge(*args, common); });
}

}  // namespace ptq::cli
