#pragma once
#include <string>
#include <vector>

#include "command.h"
#include "ptq/pipeline/validate.h"

namespace ptq::cli {

/// The options of `ptq sensitivity --validate`.
struct ValidateArgs {
  bool validate = false, symmetric = true, asymmetric = false;
  ValidationRequest request;
  std::vector<std::string> heldout;
  std::vector<int> bits = {4};
  std::vector<std::string> units = {"channel", "group", "linear", "block"};
  int64_t group_size = 64;

  void declare(CLI::App& command);
  /// The request as typed, for a run that draws by `seed`; nothing wanted without --validate.
  /// Throws ConfigError for --heldout without it.
  ValidationRequest parsed(uint64_t seed) const;
};

}  // namespace ptq::cli
