#pragma once
#include <optional>
#include <string>
#include <vector>

#include "ptq/formats/format.h"

namespace ptq {

/// What the user asks for, by rules.
struct PlanRequest {
  QuantScheme scheme;             ///< of every linear that no rule changes
  std::vector<std::string> skip;  ///< ECMAScript regexes, searched in site names: left as they are
  std::vector<std::string>
      overrides;  ///< "REGEX:bits=8,group_size=32,symmetric=false"; the last match wins
  /// When the group size does not divide the input width: "error", "smaller" (the largest divisor
  /// below it), "channel" (one group a row) or "skip".
  std::string odd_shape = "error";
};

/// The scheme of every linear that will be quantized.
struct ResolvedPlan {
  QuantPlan plan;
  std::vector<std::string> skipped;   ///< linears left as they are
  std::vector<std::string> warnings;  ///< what `odd_shape` changed, rules that matched nothing
};

/// Applies the rules to `sites`.  Throws ConfigError for a bad regex, rule or policy;
/// UnsupportedError, with a table of the group sizes that fit, where a group size does not divide
/// or `format` cannot hold a scheme.
ResolvedPlan resolve_plan(const PlanRequest& request, const std::vector<LinearSite>& sites,
                          const CheckpointFormat& format);

}  // namespace ptq
