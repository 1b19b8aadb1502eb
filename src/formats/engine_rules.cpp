#include "engine_rules.h"

#include <optional>

#include "fused_sets.h"

namespace ptq {
namespace {

std::optional<std::string> refusal(const EngineRule& rule, const QuantScheme& scheme) {
  const std::set<int>& widths = scheme.symmetric ? rule.symmetric_bits : rule.asymmetric_bits;
  if (widths.count(scheme.bits) == 0)
    return std::to_string(scheme.bits) + "-bit " + (scheme.symmetric ? "symmetric" : "asymmetric") +
           " schemes: " + rule.other_widths;
  if (scheme.group_size == -1 && !rule.channel) return "one scale a row is not read";
  if (!rule.group_sizes.empty() && rule.group_sizes.count(scheme.group_size) == 0) {
    std::string known;
    for (const int64_t size : rule.group_sizes)
      known += (known.empty() ? "" : ", ") + std::to_string(size);
    return "group size " + std::to_string(scheme.group_size) + " is not among " + known;
  }
  return std::nullopt;
}

std::optional<std::string> refusal(const EngineRule& rule, const LinearSite& site) {
  if (site.out_features % rule.out_multiple != 0)
    return site.name + ": " + std::to_string(site.out_features) +
           " outputs are not a multiple of " + std::to_string(rule.out_multiple);
  if (site.in_features % rule.in_multiple != 0)
    return site.name + ": " + std::to_string(site.in_features) + " inputs are not a multiple of " +
           std::to_string(rule.in_multiple);
  return std::nullopt;
}

std::optional<std::string> refusal(const EngineRule& rule, const FormatContext& context) {
  for (const auto& [name, scheme] : context.plan) {
    if (const auto reason = refusal(rule, scheme)) return reason;
    if (!rule.mixed && scheme != context.plan.begin()->second)
      return "several schemes in one model are not read";
  }
  for (const LinearSite& site : context.sites) {
    if (context.plan.count(site.name) == 0) continue;
    if (const auto reason = refusal(rule, site)) return reason;
  }
  if (!rule.fuses) return std::nullopt;
  for (const FusedSet& set : fused_sets(context.sites))
    if (!common_scheme(set, context.plan) && !none_quantized(set, context.plan))
      return "the parts of " + set.name + " need one scheme";
  return std::nullopt;
}

}  // namespace

std::vector<EngineSupport> judge(const std::vector<EngineRule>& rules,
                                 const FormatContext& context) {
  std::vector<EngineSupport> verdicts;
  for (const EngineRule& rule : rules) {
    const std::optional<std::string> reason = refusal(rule, context);
    verdicts.push_back({rule.engine, !reason, reason ? *reason : rule.note});
  }
  return verdicts;
}

}  // namespace ptq
