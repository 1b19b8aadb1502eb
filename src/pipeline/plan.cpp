#include "ptq/pipeline/plan.h"

#include <algorithm>
#include <functional>
#include <regex>
#include <set>
#include <utility>

#include "ptq/report/table.h"

namespace ptq {
namespace {

std::regex compile(const std::string& pattern) {
  try {
    return std::regex(pattern);
  } catch (const std::regex_error& error) {
    throw ConfigError("\"" + pattern + "\" is not a regular expression: " + error.what(),
                      "ECMAScript syntax, searched in names such as model.layers.3.mlp.down_proj");
  }
}

/// One "REGEX:key=value,…" rule.
struct Override {
  std::string text;
  std::regex pattern;
  std::function<void(QuantScheme&)> apply;
  bool matched = false;
  bool matched_left = false;  ///< … a linear that is left as it is
};

int64_t parse_integer(const std::string& value, const std::string& rule) {
  size_t used = 0;
  int64_t number = 0;
  try {
    number = std::stoll(value, &used);
  } catch (const std::exception&) {
    used = 0;
  }
  if (used == 0 || used != value.size())
    throw ConfigError("override \"" + rule + "\": \"" + value + "\" is not an integer");
  return number;
}

/// A table has neither groups nor zero points, so that those of the scheme before do not count.
void set_lookup(QuantScheme& scheme, bool lookup) {
  if (lookup) scheme = {scheme.bits, -1, true};
  scheme.lookup = lookup;
}

void apply_setting(QuantScheme& scheme, const std::string& setting, const std::string& rule) {
  const size_t equals = setting.find('=');
  const std::string key = setting.substr(0, equals);
  const std::string value = equals == std::string::npos ? "" : setting.substr(equals + 1);
  if (key == "bits") {
    scheme.bits = static_cast<int>(std::clamp<int64_t>(parse_integer(value, rule), -1, 99));
  } else if (key == "group_size") {
    scheme.group_size = parse_integer(value, rule);
  } else if (key == "symmetric" && (value == "true" || value == "false")) {
    scheme.symmetric = value == "true";
  } else if (key == "lookup" && (value == "true" || value == "false")) {
    set_lookup(scheme, value == "true");
  } else {
    throw ConfigError(
        "override \"" + rule + "\": cannot read \"" + setting + "\"",
        "settings: bits=N, group_size=N or -1, symmetric=true|false, lookup=true|false");
  }
}

Override parse_override(const std::string& rule) {
  const size_t colon = rule.rfind(':');
  if (colon == std::string::npos || colon + 1 == rule.size())
    throw ConfigError("override \"" + rule + "\" has no settings",
                      "write REGEX:bits=8,group_size=32");
  std::vector<std::string> settings;
  const std::string list = rule.substr(colon + 1);
  for (size_t begin = 0; begin <= list.size();) {
    const size_t end = std::min(list.find(',', begin), list.size());
    settings.push_back(list.substr(begin, end - begin));
    begin = end + 1;
  }
  const auto apply = [settings, rule](QuantScheme& scheme) {
    for (const std::string& setting : settings)
      apply_setting(scheme, setting, rule);
    scheme.check();
  };
  QuantScheme probe;
  apply(probe);  // a bad rule is refused even if it matches nothing
  return {rule, compile(rule.substr(0, colon)), apply};
}

/// The largest divisor of `in` below `group`, or -1 (the whole row) if only tiny ones are left.
int64_t smaller_group(int64_t in, int64_t group) {
  constexpr int64_t kSmallest = 8;
  for (int64_t size = std::min(group, in); size >= kSmallest; --size)
    if (in % size == 0) return size;
  return -1;
}

std::string fitting_groups(int64_t in) {
  std::string text;
  for (int64_t size = 8; size <= std::min<int64_t>(in, 512); ++size)
    if (in % size == 0) text += std::to_string(size) + " ";
  return text + "-1";
}

/// Applies `policy` to a group size that does not divide; nothing means the site is skipped.
std::optional<QuantScheme> fit_shape(const LinearSite& site, QuantScheme scheme,
                                     const std::string& policy) {
  if (policy == "skip") return std::nullopt;
  scheme.group_size = policy == "channel" ? -1 : smaller_group(site.in_features, scheme.group_size);
  return scheme;
}

/// Collects what stands against a plan, and tells it in one table.
class Refusals {
 public:
  void add(const LinearSite& site, const QuantScheme& scheme, const std::string& reason) {
    ++count_;
    const std::string shape =
        std::to_string(site.out_features) + " x " + std::to_string(site.in_features);
    if (table_.rows() < kShown) table_.add({site.name, shape, scheme.name(), reason});
  }
  void throw_if_any(const std::string& hint) const {
    if (count_ == 0) return;
    std::string text =
        std::to_string(count_) + " linears cannot be quantized as asked\n" + table_.text();
    if (count_ > kShown) text += "… and " + std::to_string(count_ - kShown) + " more\n";
    text.pop_back();
    throw UnsupportedError(text, hint);
  }

 private:
  static constexpr size_t kShown = 12;
  size_t count_ = 0;
  Table table_{{"linear", "shape", "scheme", "reason"}};
};

/// What the rules say of each linear, and which of them matched any.
class Rules {
 public:
  explicit Rules(const PlanRequest& request) {
    for (const std::string& pattern : request.skip)
      skips_.push_back({pattern, compile(pattern)});
    for (const std::string& rule : request.overrides)
      overrides_.push_back(parse_override(rule));
  }

  bool skips(const std::string& name) {
    bool skipped = false;
    for (Skip& skip : skips_)
      if (std::regex_search(name, skip.pattern)) skip.matched = skipped = true;
    return skipped;
  }

  QuantScheme overridden(const std::string& name, QuantScheme scheme) {
    for (Override& rule : overrides_) {
      if (!std::regex_search(name, rule.pattern)) continue;
      rule.matched = true;
      rule.apply(scheme);
    }
    return scheme;
  }

  /// Tells that the linear is left as it is, whatever a rule says.
  void leave(const std::string& name) {
    for (Override& rule : overrides_)
      if (std::regex_search(name, rule.pattern)) rule.matched_left = true;
  }

  /// A line for each rule that changed nothing.
  std::vector<std::string> idle() const {
    std::vector<std::string> lines;
    for (const Skip& skip : skips_)
      if (!skip.matched) lines.push_back("--skip \"" + skip.text + "\" matches no linear");
    for (const Override& rule : overrides_)
      if (!rule.matched)
        lines.push_back("--override \"" + rule.text + "\" matches no linear" +
                        (rule.matched_left ? " but such as are left as they are" : ""));
    return lines;
  }

 private:
  struct Skip {
    std::string text;
    std::regex pattern;
    bool matched = false;
  };
  std::vector<Skip> skips_;
  std::vector<Override> overrides_;
};

/// What `request` gives each linear before its rules.
class Decisions {
 public:
  /// Throws ConfigError unless a plan made beforehand has exactly `sites`.
  Decisions(const PlanRequest& request, const std::vector<LinearSite>& sites) : request_(request) {
    request.scheme.check();
    if (!request.decided) return;
    const SchemePlan& plan = *request.decided;
    left_.insert(plan.left.begin(), plan.left.end());
    std::vector<std::string> absent;
    size_t known = 0;
    for (const LinearSite& site : sites) {
      const bool there = plan.schemes.count(site.name) > 0 || left_.count(site.name) > 0;
      known += there ? 1 : 0;
      if (!there) absent.push_back(site.name);
    }
    if (!absent.empty())
      throw ConfigError(plan.file.string() + " lacks " + std::to_string(absent.size()) + " of " +
                            std::to_string(sites.size()) + " linears, such as " + absent.front(),
                        "make a plan for this model with ptq plan");
    if (const size_t all = plan.schemes.size() + left_.size(); known < all)
      throw ConfigError(plan.file.string() + " has " + std::to_string(all - known) +
                            " linears that this model has not",
                        "make a plan for this model with ptq plan");
  }

  bool leaves(const std::string& name) const { return left_.count(name) > 0; }
  const QuantScheme& of(const std::string& name) const {
    if (!request_.decided || leaves(name)) return request_.scheme;
    return request_.decided->schemes.at(name);
  }

 private:
  const PlanRequest& request_;
  std::set<std::string> left_;
};

}  // namespace

SkippedSites apply_skips(const std::vector<std::string>& skip,
                         const std::vector<LinearSite>& sites) {
  PlanRequest request;
  request.skip = skip;
  Rules rules(request);
  SkippedSites result;
  for (const LinearSite& site : sites) {
    if (rules.skips(site.name))
      result.skipped.push_back(site.name);
    else
      result.kept.push_back(site);
  }
  if (result.kept.empty()) throw ConfigError("nothing to quantize: every linear is skipped");
  result.warnings = rules.idle();
  return result;
}

void check_rules(const PlanRequest& request) {
  static const std::vector<std::string> kPolicies = {"error", "smaller", "channel", "skip"};
  if (std::find(kPolicies.begin(), kPolicies.end(), request.odd_shape) == kPolicies.end())
    throw ConfigError("unknown policy for odd shapes \"" + request.odd_shape + "\"",
                      "error, smaller, channel or skip");
  static_cast<void>(Rules(request));
}

ResolvedPlan resolve_plan(const PlanRequest& request, const std::vector<LinearSite>& sites,
                          const CheckpointFormat& format) {
  check_rules(request);
  const Decisions decisions(request, sites);
  Rules rules(request);
  ResolvedPlan resolved;
  Refusals shapes;
  Refusals layouts;
  for (const LinearSite& site : sites) {
    bool skipped = rules.skips(site.name) || decisions.leaves(site.name);
    QuantScheme scheme = decisions.of(site.name);
    if (skipped)
      rules.leave(site.name);
    else
      scheme = rules.overridden(site.name, scheme);
    if (!skipped && site.in_features % scheme.group_length(site.in_features) != 0) {
      if (request.odd_shape == "error") {
        shapes.add(site, scheme, "groups that fit: " + fitting_groups(site.in_features));
        continue;
      }
      const auto fitted = fit_shape(site, scheme, request.odd_shape);
      resolved.warnings.push_back(site.name + ": group size " + std::to_string(scheme.group_size) +
                                  " does not divide " + std::to_string(site.in_features) + "; " +
                                  (fitted ? "uses " + fitted->name() : "skipped"));
      skipped = !fitted;
      if (fitted) scheme = *fitted;
    }
    if (skipped) {
      resolved.skipped.push_back(site.name);
      continue;
    }
    if (const auto reason = format.unsupported(site, scheme)) layouts.add(site, scheme, *reason);
    resolved.plan[site.name] = scheme;
  }
  shapes.throw_if_any("choose a --group-size that fits, or --on-odd-shape smaller|channel|skip");
  layouts.throw_if_any("choose another --format, --bits or --group-size, or --skip these linears");
  for (std::string& line : rules.idle())
    resolved.warnings.push_back(std::move(line));
  if (resolved.plan.empty()) throw ConfigError("nothing to quantize: every linear is skipped");
  return resolved;
}

}  // namespace ptq
