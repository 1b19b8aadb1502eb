#include "awq_config.h"

#include <algorithm>
#include <cctype>

#include <ATen/ATen.h>

#include "fused_sets.h"
#include "json_fields.h"
#include "ptq/core/error.h"
#include "tensor_checks.h"

namespace ptq {
namespace {

constexpr const char* kWhere = "quantization_config of an awq directory";

bool holds(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// The field under the name that transformers gave it, or else under AutoAWQ's.
int64_t renamed_integer(const JsonFields& fields, const char* name, const char* older) {
  return fields.has(name) || !fields.has(older) ? fields.integer(name) : fields.integer(older);
}

QuantScheme read_scheme(const JsonFields& fields) {
  std::string version = fields.text("version", "gemm");
  std::transform(version.begin(), version.end(), version.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (version != "gemm")
    throw UnsupportedError(fields.where() + ": version \"" + version + "\" is not read",
                           "only the layout gemm is");
  const int64_t bits = renamed_integer(fields, "bits", "w_bit");
  if (bits != 4)
    throw UnsupportedError(fields.where() + ": " + std::to_string(bits) + " bits, must be 4");
  QuantScheme scheme;
  scheme.bits = 4;
  scheme.group_size = renamed_integer(fields, "group_size", "q_group_size");
  scheme.symmetric = !fields.boolean("zero_point", true);
  if (scheme.group_size < 1 && scheme.group_size != -1)
    throw FormatError(fields.where() + ": a group_size of " + std::to_string(scheme.group_size));
  return scheme;
}

/// Whether `qzeros` holds nothing but 8.  What is wrong with the tensor, unpack tells.
bool all_eights(const TensorSource& source, const std::string& name) {
  if (!source.contains(name)) return false;
  const at::Tensor words = source.tensor(name);
  return words.scalar_type() == at::kInt &&
         words.eq(static_cast<int32_t>(0x88888888U)).all().item<bool>();
}

std::vector<std::string> skipped(const FormatContext& context) {
  std::vector<std::string> names;
  for (const LinearSite& site : context.sites)
    if (context.plan.count(site.name) == 0) names.push_back(site.name);
  for (const FusedSet& set : fused_sets(context.sites))
    if (none_quantized(set, context.plan)) names.push_back(set.name);
  return names;
}

}  // namespace

Json write_awq_config(const FormatContext& context) {
  const std::vector<std::string> left = skipped(context);
  // Always with zero points: without, readers know no AWQ kernel.  Symmetric layers store 8.
  return {{"quant_method", "awq"},
          {"version", "gemm"},
          {"bits", 4},
          {"group_size", context.plan.begin()->second.group_size},
          {"zero_point", true},
          {"modules_to_not_convert", left.empty() ? Json() : Json(left)}};
}

std::optional<std::string> ambiguous_skip(const FormatContext& context) {
  for (const std::string& name : skipped(context))
    for (const auto& entry : context.plan)
      if (holds(entry.first, name))
        return "leaving out " + name + " would leave out " + entry.first +
               ", too: readers look for the name anywhere in another's";
  return std::nullopt;
}

QuantPlan read_awq_plan(const Json& quantization_config, const std::vector<LinearSite>& sites,
                        const TensorSource& source) {
  const JsonFields fields(quantization_config, kWhere);
  const QuantScheme scheme = read_scheme(fields);
  const std::vector<std::string> left = fields.texts("modules_to_not_convert");
  require_known_layers(source, sites, ".qweight");
  QuantPlan plan;
  for (const LinearSite& site : sites) {
    if (!stores_qweight(source, site)) continue;
    for (const std::string& name : left)
      if (holds(site.name, name))
        throw FormatError(site.name + ".qweight is stored, but modules_to_not_convert holds \"" +
                          name + "\"");
    plan[site.name] = scheme;
    if (all_eights(source, site.name + ".qzeros")) plan[site.name].symmetric = true;
  }
  return plan;
}

}  // namespace ptq
