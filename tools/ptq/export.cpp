#include "ptq/pipeline/export.h"

#include <memory>

#include "command.h"
#include "progress.h"
#include "ptq/report/table.h"

namespace ptq::cli {
namespace {

struct ExportArgs {
  std::string model, out;
  bool dense = false, overwrite = false;
};

void run_export(const ExportArgs& args, CommonArgs& common) {
  apply_common(common);
  if (!args.dense)
    throw ConfigError("ptq export: nothing says what to write",
                      "--dense writes a full-precision checkpoint of the quantized one; there is "
                      "no other kind yet");
  catch_interrupts();
  ConsoleProgress progress;
  const ExportReport report = export_dense({args.model, args.out, args.overwrite}, progress);
  if (common.json) {
    print(report.to_json().dump(2) + "\n");
    return;
  }
  const std::string single =
      report.sparse_values == 0
          ? ""
          : ", " + std::to_string(report.sparse_values) + " single weights in their places";
  print(args.out + ": " + std::to_string(report.linears) + " linears dequantized to " +
        report.dtype + single + ", " + human_bytes(report.bytes) + "\n");
}

}  // namespace

void add_export(CLI::App& app, CommonArgs& common) {
  auto args = std::make_shared<ExportArgs>();
  CLI::App* command = app.add_subcommand(
      "export", "Write a quantized checkpoint as one that needs no quantized kernels");
  command->add_option("directory", args->model, "quantized directory, of any format that is read")
      ->required()
      ->type_name("DIR");
  command->add_flag("--dense", args->dense,
                    "Full precision: linears dequantized, single weights in their places, rounded "
                    "to the model's own dtype; everything else as it is");
  command->add_option("--out", args->out, "Output directory")->required()->type_name("DIR");
  command->add_flag("--overwrite", args->overwrite, "Replace an existing output");
  add_common(*command, common);
  command->callback([args, &common] { run_export(*args, common); });
}

}  // namespace ptq::cli
