#include "ptq/eval/gates.h"

#include <cmath>
#include <cstdio>

#include "ptq/core/error.h"
#include "ptq/io/file.h"
#include "ptq/io/json.h"

namespace ptq {
namespace {

constexpr const char* kKind = "ptq perplexity baseline";
constexpr int64_t kVersion = 1;

std::string text_of(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.6g", value);
  return text;
}

void check_limit(const std::string& name, double value) {
  if (!std::isfinite(value) || value < 0.0)
    throw ConfigError(name + " is " + text_of(value) + ", must be finite and not negative");
}

/// A field of a baseline file.
template <class T>
T field(const Json& json, const std::string& key, const std::string& file) {
  const bool fits = json.is_object() && json.contains(key) &&
                    (std::is_same_v<T, std::string> ? json.at(key).is_string()
                     : std::is_integral_v<T>        ? json.at(key).is_number_integer()
                                                    : json.at(key).is_number());
  if (!fits)
    throw FormatError(file + ": baseline field \"" + key + "\" is missing or has the wrong type");
  return json.at(key).get<T>();
}

/// What of the two differs, or "": the digest covers the rest, but says less.
std::string difference(const Baseline& now, const Baseline& then) {
  const auto differs = [](const std::string& what, const auto& a, const auto& b) {
    return what + " " + Json(a).dump() + ", the baseline " + Json(b).dump();
  };
  if (now.protocol != then.protocol) return differs("protocol", now.protocol, then.protocol);
  if (now.seqlen != then.seqlen) return differs("seqlen", now.seqlen, then.seqlen);
  if (now.stride != then.stride) return differs("stride", now.stride, then.stride);
  if (now.windows != then.windows) return differs("windows", now.windows, then.windows);
  if (now.windows_sha256 != then.windows_sha256)
    return differs("token ids (another text or tokenizer) of SHA-256", now.windows_sha256,
                   then.windows_sha256);
  return "";
}

GateOutcome upper_limit(const std::string& name, const std::string& what, double value,
                        double limit) {
  // Not value > limit: NaN has to fail.
  const bool passed = value <= limit;
  return {
      name, value, limit, passed,
      what + " " + text_of(value) + (passed ? " is within " : " is not within ") + text_of(limit)};
}

GateOutcome baseline_gate(const EvalResult& result, const Baseline& baseline, double tolerance) {
  const std::string fault = difference(Baseline::from_result(result), baseline);
  if (!fault.empty())
    throw ConfigError("the baseline was made from other windows: this run has " + fault,
                      "evaluate as the baseline was, or write a new one with --write-baseline");
  const double value = result.model.perplexity;
  GateOutcome outcome =
      upper_limit("baseline", "perplexity", value, baseline.perplexity * (1.0 + tolerance));
  outcome.text +=
      " = baseline " + text_of(baseline.perplexity) + " + " + text_of(100.0 * tolerance) + " %";
  const double change = value / baseline.perplexity - 1.0;
  if (change < -tolerance)
    outcome.text +=
        "; better than the baseline by " + text_of(-100.0 * change) + " %: consider a new baseline";
  return outcome;
}

}  // namespace

Baseline Baseline::from_result(const EvalResult& result) {
  const PerplexityResult& model = result.model;
  return {model.protocol,      model.seqlen,          model.stride,    model.windows,
          model.scored_tokens, result.windows_sha256, model.perplexity};
}

Baseline read_baseline(const std::filesystem::path& path) {
  const std::string file = path.string();
  const Json json = read_json_file(path);
  if (field<std::string>(json, "kind", file) != kKind ||
      field<int64_t>(json, "version", file) != kVersion)
    throw FormatError(file + ": not a \"" + kKind + "\" of version " + std::to_string(kVersion));
  Baseline baseline;
  baseline.protocol = field<std::string>(json, "protocol", file);
  baseline.seqlen = field<int64_t>(json, "seqlen", file);
  baseline.stride = field<int64_t>(json, "stride", file);
  baseline.windows = field<int64_t>(json, "windows", file);
  baseline.scored_tokens = field<int64_t>(json, "scored_tokens", file);
  baseline.windows_sha256 = field<std::string>(json, "windows_sha256", file);
  baseline.perplexity = field<double>(json, "perplexity", file);
  if (!std::isfinite(baseline.perplexity) || baseline.perplexity < 1.0)
    throw FormatError(file + ": baseline perplexity is " + text_of(baseline.perplexity) +
                      ", must be finite and at least 1");
  return baseline;
}

void write_baseline(const std::filesystem::path& path, const EvalResult& result) {
  const Baseline baseline = Baseline::from_result(result);
  if (!std::isfinite(baseline.perplexity))
    throw NumericalError(path.string() + ": a perplexity of " + text_of(baseline.perplexity) +
                         " is no baseline");
  const Json json = {{"kind", kKind},
                     {"version", kVersion},
                     {"protocol", baseline.protocol},
                     {"seqlen", baseline.seqlen},
                     {"stride", baseline.stride},
                     {"windows", baseline.windows},
                     {"scored_tokens", baseline.scored_tokens},
                     {"windows_sha256", baseline.windows_sha256},
                     {"perplexity", baseline.perplexity},
                     {"perplexity_standard_error", result.model.standard_error}};
  write_file_atomically(path, json.dump(2) + "\n");
}

Json GateOutcome::to_json() const {
  return {{"gate", name}, {"value", value}, {"limit", limit}, {"passed", passed}, {"text", text}};
}

std::vector<GateOutcome> check_gates(const EvalResult& result, const GateRequest& request) {
  std::vector<GateOutcome> outcomes;
  if (request.max_perplexity) {
    check_limit("max-perplexity", *request.max_perplexity);
    outcomes.push_back(upper_limit("max-perplexity", "perplexity", result.model.perplexity,
                                   *request.max_perplexity));
  }
  if (request.max_kl) {
    check_limit("max-kl", *request.max_kl);
    if (!result.kl)
      throw ConfigError("max-kl was asked for without a reference", "name one with --reference");
    outcomes.push_back(
        upper_limit("max-kl", "mean token KL in nats", result.kl->mean_nats, *request.max_kl));
  }
  if (request.baseline) {
    check_limit("tolerance", request.tolerance);
    outcomes.push_back(baseline_gate(result, *request.baseline, request.tolerance));
  }
  return outcomes;
}

void require_passed(const std::vector<GateOutcome>& outcomes) {
  std::string failed;
  for (const GateOutcome& outcome : outcomes)
    if (!outcome.passed)
      failed += (failed.empty() ? "" : "; ") + outcome.name + ": " + outcome.text;
  if (!failed.empty()) throw GateError(failed);
}

}  // namespace ptq
