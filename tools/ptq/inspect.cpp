#include "ptq/pipeline/inspect.h"

#include <memory>

#include "command.h"
#include "ptq/report/table.h"

namespace ptq::cli {
namespace {

void run_verify(const std::string& directory, CommonArgs& common) {
  apply_common(common);
  const auto outcomes = verify_directory(directory);
  Json json = Json::array();
  std::string text;
  std::string failed;
  for (const VerifyOutcome& outcome : outcomes) {
    json.push_back(
        {{"check", outcome.check}, {"passed", outcome.passed}, {"detail", outcome.detail}});
    text +=
        (outcome.passed ? "ok      " : "FAILED  ") + outcome.check + ": " + outcome.detail + "\n";
    if (!outcome.passed && failed.empty()) failed = outcome.check + ": " + outcome.detail;
  }
  print(common.json ? json.dump(2) + "\n" : text);
  if (!failed.empty()) throw FormatError(directory + " does not verify: " + failed);
}

}  // namespace

void add_inspect(CLI::App& app, CommonArgs& common) {
  auto directory = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand(
      "inspect", "List the linears of a checkpoint: shapes, schemes, bytes, bits");
  command->add_option("directory", *directory, "Hugging Face directory")
      ->required()
      ->type_name("DIR");
  add_common(*command, common);
  command->callback([directory, &common] {
    apply_common(common);
    const Inspection inspection = inspect_directory(*directory);
    print(common.json ? inspection.to_json().dump(2) + "\n" : inspection.text());
  });
}

void add_verify(CLI::App& app, CommonArgs& common) {
  auto directory = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("verify", "Re-read a quantized checkpoint and check it");
  command->add_option("directory", *directory, "quantized directory")->required()->type_name("DIR");
  add_common(*command, common);
  command->callback([directory, &common] { run_verify(*directory, common); });
}

}  // namespace ptq::cli
