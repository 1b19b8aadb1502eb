#include "compressed_tensors_config.h"

#include <algorithm>
#include <cstdio>
#include <optional>
#include <string>
#include <tuple>

#include "json_fields.h"
#include "name_pattern.h"
#include "ptq/core/error.h"
#include "tensor_checks.h"

namespace ptq {
namespace {

constexpr const char* kWhere = "quantization_config of a compressed-tensors directory";
constexpr const char* kFormat = "pack-quantized";
/// The release of compressed-tensors whose layout is written.
constexpr const char* kVersion = "0.20.0";

Json write_group(const QuantScheme& scheme, std::vector<std::string> targets) {
  const bool channel = scheme.group_size == -1;
  return {{"targets", std::move(targets)},
          {"format", kFormat},
          {"input_activations", nullptr},
          {"output_activations", nullptr},
          {"weights",
           {{"num_bits", scheme.bits},
            {"type", "int"},
            {"symmetric", scheme.symmetric},
            {"strategy", channel ? "channel" : "group"},
            {"group_size", channel ? Json() : Json(scheme.group_size)},
            {"actorder", nullptr},
            {"dynamic", false},
            {"observer", "memoryless_minmax"}}}};
}

/// One target of one config group, in the order compressed-tensors tries them: exact names and
/// class names first, sorted, then expressions, sorted; a class matches only if no name did.
struct Target {
  std::string text;
  std::optional<NamePattern> pattern;
  std::optional<QuantScheme> scheme;  ///< nothing in an ignore list

  bool names(const std::string& name) const {
    return pattern ? pattern->matches(name) : text == name;
  }
  bool is_class() const { return text == "Linear"; }
};

std::vector<Target> read_targets(const std::vector<std::string>& texts,
                                 const std::optional<QuantScheme>& scheme,
                                 const std::string& where) {
  std::vector<Target> targets;
  for (const std::string& text : texts) {
    std::optional<NamePattern> pattern;
    if (text.rfind("re:", 0) == 0) pattern.emplace(text.substr(3), where);
    targets.push_back({text, pattern, scheme});
  }
  return targets;
}

const Target* find_target(const std::vector<Target>& targets, const std::string& name) {
  for (const Target& target : targets)
    if (target.names(name)) return &target;
  const auto found = std::find_if(targets.begin(), targets.end(),
                                  [](const Target& target) { return target.is_class(); });
  return found == targets.end() ? nullptr : &*found;
}

[[noreturn]] void refuse(const JsonFields& fields, const std::string& what) {
  throw UnsupportedError(fields.where() + ": " + what + " is not read");
}

QuantScheme read_weights(const JsonFields& weights) {
  const int64_t bits = weights.integer("num_bits", 8);
  if (bits < 2 || bits > 8) refuse(weights, "num_bits " + std::to_string(bits));
  const std::string type = weights.text("type", "int");
  if (type != "int") refuse(weights, "type \"" + type + "\"");
  if (weights.has("dynamic") && weights.boolean("dynamic", false))
    refuse(weights, "dynamic quantization");
  QuantScheme scheme;
  scheme.bits = static_cast<int>(bits);
  scheme.symmetric = weights.boolean("symmetric", true);
  scheme.group_size = weights.integer("group_size", -1);
  const std::string strategy = weights.text("strategy", !weights.has("group_size") ? "tensor"
                                                        : scheme.group_size > 0    ? "group"
                                                                                   : "channel");
  if (strategy != "group" && strategy != "channel")
    refuse(weights, "strategy \"" + strategy + "\"");
  if (strategy == "channel") scheme.group_size = -1;
  if (strategy == "group" && scheme.group_size < 1)
    throw FormatError(weights.where() + ": strategy \"group\" needs a positive group_size");
  return scheme;
}

std::vector<Target> read_group(const std::string& name, const Json& group) {
  const JsonFields fields(group, std::string(kWhere) + ", " + name);
  const std::string format = fields.text("format", kFormat);
  if (format != kFormat) refuse(fields, "format \"" + format + "\"");
  for (const char* activations : {"input_activations", "output_activations"})
    if (fields.has(activations)) refuse(fields, std::string("quantized ") + activations);
  if (!fields.has("weights")) refuse(fields, "a group without weights");
  const QuantScheme scheme =
      read_weights(JsonFields(fields.object("weights"), fields.where() + ", weights"));
  return read_targets(fields.texts("targets"), scheme, fields.where());
}

void check_top_level(const JsonFields& fields) {
  const std::string format = fields.text("format", kFormat);
  if (format != kFormat && format != "mixed-precision") refuse(fields, "format \"" + format + "\"");
  const std::string status = fields.text("quantization_status", "compressed");
  if (status != "compressed") refuse(fields, "quantization_status \"" + status + "\"");
  if (fields.has("kv_cache_scheme")) refuse(fields, "kv_cache_scheme");
  if (!fields.object("transform_config").empty()) refuse(fields, "transform_config");
  const Json& sparsity = fields.object("sparsity_config");
  if (!sparsity.empty() && JsonFields(sparsity, fields.where()).text("format", "") != "dense")
    refuse(fields, "sparsity_config");
}

std::vector<Target> read_all_groups(const JsonFields& fields) {
  std::vector<Target> targets;
  for (const auto& [name, group] : fields.object("config_groups").items()) {
    if (group.is_array()) refuse(fields, "the preset scheme \"" + name + "\"");
    for (Target& target : read_group(name, group))
      targets.push_back(std::move(target));
  }
  if (targets.empty()) throw FormatError(fields.where() + ": no config_groups with targets");
  std::stable_sort(targets.begin(), targets.end(), [](const Target& a, const Target& b) {
    return std::forward_as_tuple(a.pattern.has_value(), a.text) <
           std::forward_as_tuple(b.pattern.has_value(), b.text);
  });
  return targets;
}

/// Whether `version` ("0.17.1", "0.16.1.dev3") is 0.17 or later; false if it cannot be told.
bool writes_streams(const std::string& version) {
  int major = 0, minor = 0;
  if (std::sscanf(version.c_str(), "%d.%d", &major, &minor) != 2) return false;
  return major > 0 || minor >= 17;
}

void require_known_layout(const LinearSite& site, const QuantScheme& scheme, bool streams) {
  const int64_t words = dense_words(site.in_features, scheme.bits);
  if (streams || 32 % scheme.bits == 0 || words == 1 ||
      words != padded_words(site.in_features, scheme.bits))
    return;
  throw UnsupportedError(
      site.name + ".weight_packed may be a bit stream or padded words: " +
          std::to_string(site.in_features) + " inputs of " + std::to_string(scheme.bits) +
          " bits have the same shape in both, and the version is not 0.17 or later",
      "write the directory again with compressed-tensors 0.17 or later");
}

}  // namespace

int64_t dense_words(int64_t n, int bits) {
  return (n * bits + 31) / 32;
}

int64_t padded_words(int64_t n, int bits) {
  const int64_t per_word = 32 / bits;
  return (n + per_word - 1) / per_word;
}

Json write_compressed_tensors_config(const FormatContext& context) {
  std::map<std::string, std::vector<std::string>> names;  // by scheme name, in model order
  std::map<std::string, QuantScheme> schemes;
  std::vector<std::string> ignore{"lm_head"};
  for (const LinearSite& site : context.sites) {
    const auto found = context.plan.find(site.name);
    if (found == context.plan.end()) {
      ignore.push_back(site.name);
      continue;
    }
    names[found->second.name()].push_back(site.name);
    schemes[found->second.name()] = found->second;
  }
  // With several groups no class target: vLLM would match it before the parts of a fused layer.
  if (names.size() == 1) names.begin()->second = {"Linear"};
  Json groups = Json::object();
  for (const auto& [name, scheme] : schemes)
    groups["group_" + std::to_string(groups.size())] = write_group(scheme, names.at(name));
  return {{"quant_method", "compressed-tensors"},
          {"format", kFormat},
          {"quantization_status", "compressed"},
          {"global_compression_ratio", nullptr},
          {"version", kVersion},
          {"ignore", ignore},
          {"kv_cache_scheme", nullptr},
          {"sparsity_config", Json::object()},
          {"transform_config", Json::object()},
          {"config_groups", groups}};
}

QuantPlan read_compressed_tensors_plan(const Json& quantization_config,
                                       const std::vector<LinearSite>& sites,
                                       const TensorSource& source) {
  const JsonFields fields(quantization_config, kWhere);
  check_top_level(fields);
  const std::vector<Target> targets = read_all_groups(fields);
  const std::vector<Target> ignore = read_targets(fields.texts("ignore"), std::nullopt, kWhere);
  const bool streams = writes_streams(fields.text("version", ""));
  require_known_layers(source, sites, ".weight_packed");
  QuantPlan plan;
  for (const LinearSite& site : sites) {
    const Target* target =
        find_target(ignore, site.name) ? nullptr : find_target(targets, site.name);
    const bool packed = source.contains(site.name + ".weight_packed");
    if (packed != (target != nullptr))
      throw FormatError(site.name + (packed ? ".weight_packed is stored, but no group targets it"
                                            : ".weight_packed is missing, though \"" +
                                                  target->text + "\" targets it"));
    if (target == nullptr) continue;
    require_known_layout(site, *target->scheme, streams);
    plan[site.name] = *target->scheme;
  }
  return plan;
}

}  // namespace ptq
