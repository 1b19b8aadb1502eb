#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "ptq/core/options.h"
#include "ptq/eval/evaluate.h"

namespace ptq {

/// A stored result that later runs on the same windows are compared with.
struct Baseline {
  std::string protocol;
  int64_t seqlen = 0, stride = 0, windows = 0, scored_tokens = 0;
  std::string windows_sha256;  ///< text, tokenizer and protocol, see WindowPlan::sha256
  double perplexity = 0.0;
  static Baseline from_result(const EvalResult& result);  ///< what later runs must meet
};

/// Reads a baseline file.  Throws ConfigError if it cannot be read, FormatError for a missing or
/// wrong field, naming it.
Baseline read_baseline(const std::filesystem::path& path);

/// Writes one, atomically.  Throws NumericalError if the perplexity is not finite.
void write_baseline(const std::filesystem::path& path, const EvalResult& result);

/// What a result has to meet.
struct GateRequest {
  std::optional<double> max_perplexity;
  std::optional<double> max_kl;  ///< mean token KL in nats
  std::optional<Baseline> baseline;
  double tolerance = 0.01;  ///< the perplexity may be above the baseline's by this share of it
};

/// One gate and whether it held.
struct GateOutcome {
  std::string name;  ///< "max-perplexity", "max-kl", "baseline"
  double value = 0.0, limit = 0.0;
  bool passed = false;
  std::string text;  ///< one line for people; tells of a perplexity better than the tolerance, too
  Json to_json() const;
};

/// Checks what `request` asks for, in the order of its fields; a value that is NaN never passes.
/// Throws ConfigError for `max_kl` without a reference, a limit or tolerance that is negative or
/// not finite, and a baseline made from other windows (what differs is named).
std::vector<GateOutcome> check_gates(const EvalResult& result, const GateRequest& request);

/// Throws GateError with every failed outcome's text if there is one.
void require_passed(const std::vector<GateOutcome>& outcomes);

}  // namespace ptq
