#pragma once
#include <optional>
#include <string>
#include <vector>

#include "ptq/formats/format.h"
#include "ptq/pipeline/scheme_plan.h"

namespace ptq {

/// What the user asks for, by rules.
struct PlanRequest {
  QuantScheme scheme;  ///< of every linear that no rule changes
  /// In place of `scheme`: what was decided linear by linear; the rules go on from there.
  std::optional<SchemePlan> decided;
  std::vector<std::string> skip;  ///< ECMAScript regexes, searched in site names: left as they are
  std::vector<std::string> overrides;  ///< "REGEX:bits=8,group_size=32,symmetric=false",
                                       ///< "REGEX:lookup=true"; the last match wins
  /// When the group size does not divide the input width: "error", "smaller" (the largest divisor
  /// below it), "channel" (one group a row) or "skip".
  std::string odd_shape = "error";
};

/// The scheme of every linear that will be quantized.
struct ResolvedPlan {
  QuantPlan plan;
  std::vector<std::string> skipped;   ///< linears left as they are
  std::vector<std::string> warnings;  ///< what `odd_shape` changed, rules that changed nothing
};

/// Which linears rules of PlanRequest::skip leave out.
struct SkippedSites {
  std::vector<LinearSite> kept;
  std::vector<std::string> skipped;
  std::vector<std::string> warnings;  ///< rules that matched nothing
};

/// Throws ConfigError for a bad regex, and where nothing is kept.
SkippedSites apply_skips(const std::vector<std::string>& skip,
                         const std::vector<LinearSite>& sites);

/// Throws ConfigError for a bad regex, rule or policy.
void check_rules(const PlanRequest& request);

/// Applies the rules to `sites`.  Throws ConfigError for a bad regex, rule or policy, and where
/// `decided` lacks a linear or has one that is not there; UnsupportedError, with a table of the
/// group sizes that fit, where a group size does not divide or `format` cannot hold a scheme.
ResolvedPlan resolve_plan(const PlanRequest& request, const std::vector<LinearSite>& sites,
                          const CheckpointFormat& format);

}  // namespace ptq
