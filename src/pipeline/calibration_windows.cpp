#include "calibration_windows.h"

#include "ptq/core/error.h"
#include "ptq/io/tokenizer.h"

namespace ptq::detail {

CalibrationWindows read_calibration(const CalibrationRequest& request,
                                    const std::filesystem::path& model, const ModelConfig& config) {
  const auto tokenizer = Tokenizer::open(model);
  const auto [tokens, report] = load_calibration(request, *tokenizer, config.vocab);
  if (config.max_positions > 0 && tokens.size(1) > config.max_positions)
    throw ConfigError("--seqlen " + std::to_string(tokens.size(1)) +
                      " is longer than the model's " + std::to_string(config.max_positions) +
                      " positions");
  if (tokens.size(0) <= request.hold_back)
    throw ConfigError("of " + std::to_string(tokens.size(0)) + " calibration windows " +
                          std::to_string(request.hold_back) + " are held back: none is left",
                      "raise --samples");
  CalibrationWindows windows{
      tokens.narrow(0, 0, tokens.size(0) - request.hold_back), report.to_json(), {}};
  if (request.hold_back > 0) {
    windows.report["windows_used"] = windows.tokens.size(0);
    windows.report["tokens_used"] = windows.tokens.numel();
    windows.report["windows_held_back"] = request.hold_back;
  }
  if (report.windows_used < report.windows_requested)
    windows.warnings.push_back("calibration: " + std::to_string(report.windows_requested) +
                               " windows asked, the data has " +
                               std::to_string(report.windows_used));
  return windows;
}

}  // namespace ptq::detail
