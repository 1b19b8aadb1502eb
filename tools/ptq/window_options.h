#pragma once
#include <filesystem>
#include <string>

#include "command.h"
#include "ptq/eval/windows.h"
#include "ptq/model/config.h"

namespace ptq::cli {

/// The options that say what a command evaluates on.
struct WindowArgs {
  std::string text, tokens;
  PerplexityRequest request;

  /// `prefix` goes before the names that calibration windows have, too: "--seqlen".
  void declare(CLI::App& command, const std::string& prefix = "--");
  /// The windows, cut by the tokenizer of `model`.  Throws ConfigError unless there is a text or
  /// token ids, and as make_windows, windows_of_rows and the readers of files.
  WindowPlan plan(const std::filesystem::path& model, const ModelConfig& config) const;
};

}  // namespace ptq::cli
