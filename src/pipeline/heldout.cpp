#include "heldout.h"

#include <ATen/ATen.h>

#include "ptq/core/error.h"
#include "ptq/io/sha256.h"
#include "ptq/io/tokenizer.h"
#include "ptq/report/table.h"

namespace ptq::detail {
namespace {

namespace fs = std::filesystem;

/// Above this share of held-out text in the calibration text a warning is due.
constexpr double kOverlap = 0.01;

void refuse_calibration_text(const std::vector<fs::path>& heldout,
                             const std::vector<fs::path>& calibration) {
  for (const fs::path& held : heldout) {
    if (!fs::exists(held)) throw ConfigError("--heldout " + held.string() + " does not exist");
    for (const fs::path& file : calibration)
      if (fs::exists(file) && fs::file_size(file) == fs::file_size(held) &&
          sha256_file(file) == sha256_file(held))
        throw ConfigError(
            "--heldout " + held.string() + " is the calibration text " + file.string(),
            "measure on text that the estimators have not seen");
  }
}

}  // namespace

HeldoutWindows load_heldout(const CalibrationRequest& wanted,
                            const std::vector<fs::path>& calibration, const fs::path& model,
                            const ModelConfig& config) {
  if (wanted.files.empty())
    throw ConfigError("--validate needs text that the calibration has not seen",
                      "name it with --heldout FILE");
  if (config.max_positions > 0 && wanted.seqlen > config.max_positions)
    throw ConfigError("--validate-seqlen " + std::to_string(wanted.seqlen) +
                      " is longer than the model's " + std::to_string(config.max_positions) +
                      " positions");
  refuse_calibration_text(wanted.files, calibration);
  const auto tokenizer = Tokenizer::open(model);
  HeldoutWindows result;
  auto [tokens, report] = load_calibration(wanted, *tokenizer, config.vocab);
  result.tokens = tokens;
  result.report = report.to_json();
  result.report.erase("overlap");
  if (report.windows_used < report.windows_requested)
    result.warnings.push_back("held-out text: " + std::to_string(report.windows_requested) +
                              " windows asked, it has " + std::to_string(report.windows_used));
  result.report["overlap_with"] = Json::object();
  for (const fs::path& file : calibration) {
    CalibrationRequest compared = wanted;
    compared.overlap_with = file;
    const double share =
        load_calibration(compared, *tokenizer, config.vocab).second.overlap.value_or(0);
    result.report["overlap_with"][file.string()] = share;
    if (share > kOverlap)
      result.warnings.push_back(fixed(100 * share, 1) + " % of the held-out text is in " +
                                file.string() + ": what is measured flatters the estimators");
  }
  if (calibration.empty())
    result.warnings.emplace_back(
        "whether the held-out text is part of the calibration text is not known: statistics came "
        "from a store");
  return result;
}

}  // namespace ptq::detail
