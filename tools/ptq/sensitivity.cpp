#include "ptq/pipeline/sensitivity.h"

#include <memory>

#include "command.h"
#include "data_options.h"
#include "progress.h"
#include "validate_options.h"

namespace ptq::cli {
namespace {

struct SensitivityArgs {
  SensitivityJob job;
  DataArgs data;
  SweepArgs sweep;
  ValidateArgs validation;
  std::string model, out, stats, tokens, per = "channel";
  std::vector<std::string> settings;
};

void run_sensitivity(SensitivityArgs& args, CommonArgs& common) {
  apply_common(common);
  catch_interrupts();
  SensitivityJob& job = args.job;
  job.model = args.model;
  job.out = args.out;
  job.stats = args.stats;
  if (!args.tokens.empty()) args.data.files.push_back(args.tokens);
  job.data = args.sweep.parsed(args.data);
  job.per_weight = args.per == "weight";
  job.validation = args.validation.parsed(job.data.request.seed);
  job.plugin_options = parse_settings(args.settings);
  job.command = common.command_line;
  ConsoleProgress progress;
  const SensitivityReport report = score_sensitivity(job, progress);
  Json json = report.to_json();
  if (report.validation) json["validation"] = report.validation->to_json();
  json["output"] = args.out;
  print(common.json ? json.dump(2) + "\n" : report.text() + "written to " + args.out + "\n");
}

void declare(CLI::App& command, SensitivityArgs& args) {
  command.add_option("model", args.model, "Hugging Face directory")->required()->type_name("MODEL");
  command.add_option("-o,--out", args.out, "Directory for the scores; must not exist")
      ->required()
      ->type_name("DIR");
  command
      .add_option("--estimator", args.job.estimators,
                  "Estimators, by NAME or LABEL=NAME; see ptq list")
      ->delimiter(',')
      ->required()
      ->type_name("NAME");
  command
      .add_option("--stats", args.stats, "Read the statistics of ptq calibrate instead of a text")
      ->type_name("DIR");
  args.data.declare(command);
  command
      .add_option("--tokens", args.tokens,
                  "Rows of token ids (.json) in place of text; --seqlen cuts them")
      ->type_name("FILE");
  args.sweep.declare(command, /*shards=*/false);
  args.validation.declare(command);
  command.add_option("--per", args.per, "Scores by channel, or by weight too where there are any")
      ->check(CLI::IsMember({"channel", "weight"}))
      ->type_name("WHICH")
      ->capture_default_str();
  command.add_option("--top", args.job.top, "Name so many of the highest channels of every linear")
      ->check(CLI::NonNegativeNumber)
      ->type_name("N")
      ->capture_default_str();
  command
      .add_option("--set", args.settings,
                  "Option of an estimator or statistic: LABEL.key=value; see ptq list")
      ->type_name("SETTING")
      ->allow_extra_args(false);
  command.add_flag("--resume", args.job.resume, "Go on with an interrupted run");
  command.add_flag("--overwrite", args.job.overwrite, "Replace an existing output");
}

}  // namespace

void add_sensitivity(CLI::App& app, CommonArgs& common) {
  auto args = std::make_shared<SensitivityArgs>();
  CLI::App* command = app.add_subcommand("sensitivity", "Score the input channels of every linear");
  declare(*command, *args);
  add_common(*command, common);
  command->callback([args, &common] { run_sensitivity(*args, common); });
}

}  // namespace ptq::cli
