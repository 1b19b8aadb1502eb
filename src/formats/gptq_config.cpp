#include "gptq_config.h"

#include <algorithm>
#include <optional>

#include "fused_sets.h"
#include "json_fields.h"
#include "name_pattern.h"
#include "ptq/core/error.h"
#include "tensor_checks.h"

namespace ptq {
namespace {

constexpr const char* kWhere = "quantization_config of a gptq directory";

bool before(const QuantScheme& a, const QuantScheme& b) {
  return std::tie(a.bits, a.group_size, a.symmetric) < std::tie(b.bits, b.group_size, b.symmetric);
}

QuantScheme most_frequent(const QuantPlan& plan) {
  std::map<QuantScheme, int, decltype(&before)> count(&before);
  for (const auto& entry : plan)
    ++count[entry.second];
  return std::max_element(count.begin(), count.end(),
                          [](const auto& a, const auto& b) { return a.second < b.second; })
      ->first;
}

Json dynamic_rules(const FormatContext& context, const QuantScheme& base) {
  Json rules = Json::object();
  const auto add = [&](const std::string& name, const std::optional<QuantScheme>& scheme) {
    const std::string expression = exact_expression(name);
    if (!scheme)
      rules["-:" + expression] = Json::object();
    else if (*scheme != base)
      rules["+:" + expression] = {
          {"bits", scheme->bits}, {"group_size", scheme->group_size}, {"sym", scheme->symmetric}};
  };
  for (const LinearSite& site : context.sites) {
    const auto found = context.plan.find(site.name);
    add(site.name, found == context.plan.end() ? std::nullopt : std::optional(found->second));
  }
  for (const FusedSet& set : fused_sets(context.sites)) {
    const std::optional<QuantScheme> scheme = common_scheme(set, context.plan);
    if (scheme || none_quantized(set, context.plan)) add(set.name, scheme);
  }
  return rules;
}

QuantScheme read_scheme(const JsonFields& fields, const QuantScheme& fallback) {
  const int64_t bits = fields.integer("bits", fallback.bits);
  if (bits != 2 && bits != 3 && bits != 4 && bits != 8)
    throw UnsupportedError(fields.where() + ": " + std::to_string(bits) +
                           " bits, must be 2, 3, 4 or 8");
  QuantScheme scheme;
  scheme.bits = static_cast<int>(bits);
  scheme.group_size = fields.integer("group_size", fallback.group_size);
  scheme.symmetric = fields.boolean("sym", fallback.symmetric);
  if (scheme.group_size < 1 && scheme.group_size != -1)
    throw FormatError(fields.where() + ": a group_size of " + std::to_string(scheme.group_size));
  return scheme;
}

struct DynamicRule {
  std::string text;
  NamePattern pattern;
  std::optional<QuantScheme> scheme;  ///< nothing: the layer is left as it is
};

std::vector<DynamicRule> read_dynamic(const JsonFields& fields, const QuantScheme& base) {
  std::vector<DynamicRule> rules;
  for (const auto& [text, overrides] : fields.object("dynamic").items()) {
    const bool skips = text.rfind("-:", 0) == 0;
    const size_t prefix = skips || text.rfind("+:", 0) == 0 ? 2 : 0;
    const std::string where = std::string(kWhere) + ", dynamic \"" + text + "\"";
    std::optional<QuantScheme> scheme;
    if (!skips) scheme = read_scheme(JsonFields(overrides, where), base);
    rules.push_back({text, NamePattern(text.substr(prefix), where), scheme});
  }
  return rules;
}

std::optional<QuantScheme> scheme_of(const std::string& name, const QuantScheme& base,
                                     const std::vector<DynamicRule>& rules) {
  const DynamicRule* match = nullptr;
  for (const DynamicRule& rule : rules) {
    if (!rule.pattern.matches(name)) continue;
    // GPTQModel takes the first in the file, an order that a JSON object does not promise.
    if (match != nullptr && match->scheme != rule.scheme)
      throw UnsupportedError(name + " matches \"" + match->text + "\" and \"" + rule.text +
                             "\" of dynamic, which disagree");
    match = &rule;
  }
  return match == nullptr ? std::optional(base) : match->scheme;
}

}  // namespace

Json write_gptq_config(const FormatContext& context, const std::string& checkpoint_format) {
  const QuantScheme base = most_frequent(context.plan);
  Json config = {{"quant_method", "gptq"},
                 {"checkpoint_format", checkpoint_format},
                 {"format", checkpoint_format},
                 {"bits", base.bits},
                 {"group_size", base.group_size},
                 {"sym", base.symmetric},
                 {"desc_act", false},
                 {"lm_head", false},
                 {"pack_dtype", "int32"},
                 {"meta", {{"quantizer", {"ptq:" + context.tool_version}}}}};
  if (!context.method.is_null()) config["meta"]["method"] = context.method;
  const Json rules = dynamic_rules(context, base);
  if (!rules.empty()) config["dynamic"] = rules;
  return config;
}

std::string gptq_checkpoint_format(const Json& quantization_config) {
  const JsonFields fields(quantization_config, "quantization_config");
  if (fields.text("quant_method", "") != "gptq") return "";
  if (fields.boolean("is_marlin_format", false)) return "marlin";
  return fields.text("checkpoint_format", fields.text("format", "gptq"));
}

QuantPlan read_gptq_plan(const Json& quantization_config, const std::vector<LinearSite>& sites,
                         const TensorSource& source) {
  const JsonFields fields(quantization_config, kWhere);
  if (fields.text("pack_dtype", "int32") != "int32")
    throw UnsupportedError(std::string(kWhere) + ": pack_dtype is not int32");
  fields.integer("bits");  // the one field without a default
  const QuantScheme base = read_scheme(fields, {4, 128, true});
  const std::vector<DynamicRule> rules = read_dynamic(fields, base);
  require_known_layers(source, sites, ".qweight");
  QuantPlan plan;
  for (const LinearSite& site : sites) {
    if (!stores_qweight(source, site)) continue;
    const std::optional<QuantScheme> scheme = scheme_of(site.name, base, rules);
    if (!scheme)
      throw FormatError(site.name + ".qweight is stored, but dynamic says that the layer is not " +
                        "quantized");
    plan[site.name] = *scheme;
  }
  return plan;
}

}  // namespace ptq
