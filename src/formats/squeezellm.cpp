// SqueezeLLM's tensors in safetensors: codes packed as GPTQ's, and a table of values for each row
// (docs/formats.md).
#include <ATen/ATen.h>

#include "gptq_layout.h"
#include "json_fields.h"
#include "ptq/core/error.h"
#include "ptq/formats/format.h"
#include "tensor_checks.h"

namespace ptq::format {
namespace {

constexpr const char* kTable = ".lookup_table";

bool has_width(int64_t bits) {
  return bits == 2 || bits == 3 || bits == 4 || bits == 8;
}

class SqueezeLlm : public CheckpointFormat {
 public:
  std::optional<std::string> unsupported(const LinearSite& site,
                                         const QuantScheme& scheme) const override {
    if (!scheme.lookup) return "a grid: the layout has lookup tables (--lookup-table)";
    if (!has_width(scheme.bits))
      return std::to_string(scheme.bits) + " bits: the layout has 2, 3, 4 and 8";
    return unsupported_codes(site, scheme.bits);
  }

  std::optional<std::string> unsupported(const FormatContext& context) const override {
    if (context.plan.empty()) return "no linear is quantized";
    for (const auto& [name, scheme] : context.plan)
      if (scheme.bits != context.plan.begin()->second.bits)
        return "linears of several widths: its config has one (wbits)";
    return std::nullopt;
  }

  std::map<std::string, at::Tensor> pack(const LinearSite& site, const QuantizedTensor& weight,
                                         at::ScalarType /*model_dtype*/) const override {
    if (const auto reason = unsupported(site, weight.scheme))
      throw UnsupportedError(site.name + " cannot be stored as squeezellm: " + *reason);
    at::Tensor table = weight.table.to(at::kHalf).contiguous();
    if (!table.to(at::kFloat).equal(weight.table))
      throw std::logic_error(site.name + ": entries of a table must come from storable_entries");
    return {{site.name + ".qweight", pack_qweight(weight.q, weight.scheme.bits)},
            {site.name + kTable, table}};
  }

  QuantizedTensor unpack(const LinearSite& site, const QuantScheme& scheme,
                         const TensorSource& source) const override {
    QuantizedTensor weight;
    weight.scheme = scheme;
    weight.q = read_qweight(source, site, scheme.bits);
    weight.table =
        read_table(source, site.name + kTable, {site.out_features, int64_t{1} << scheme.bits});
    weight.group_of = contiguous_groups(scheme, site.in_features);
    return weight;
  }

  Json config(const FormatContext& context) const override {
    Json config = {{"quant_method", "squeezellm"},
                   {"wbits", context.plan.begin()->second.bits},
                   {"meta", {{"quantizer", {"ptq:" + context.tool_version}}}}};
    if (!context.method.is_null()) config["meta"]["method"] = context.method;
    return config;
  }

  std::vector<EngineSupport> engines(const FormatContext& /*context*/) const override {
    return {{"vLLM", false, "lookup tables are not loaded; only old releases had SqueezeLLM"},
            {"transformers", false, "lookup tables are not loaded"},
            {"SGLang", false, "lookup tables are not loaded"},
            {"llama.cpp", false, "the converter does not unpack lookup tables"}};
  }

  bool reads(const Json& quantization_config) const override {
    return JsonFields(quantization_config, "quantization_config").text("quant_method", "") ==
           "squeezellm";
  }

  QuantPlan plan(const Json& quantization_config, const std::vector<LinearSite>& sites,
                 const TensorSource& source) const override {
    const JsonFields fields(quantization_config, "quantization_config of a squeezellm directory");
    const int64_t bits = fields.integer("wbits");
    if (!has_width(bits))
      throw UnsupportedError(fields.where() + ": " + std::to_string(bits) +
                             " bits, must be 2, 3, 4 or 8");
    require_known_layers(source, sites, ".qweight");
    QuantPlan plan;
    for (const LinearSite& site : sites) {
      if (!stores_qweight(source, site)) continue;
      refuse_added_weights(source, site);
      plan[site.name] = {static_cast<int>(bits), -1, true, true};
    }
    return plan;
  }

 private:
  /// SqueezeLLM's own sparse weights are added to the table's; without them it is another model.
  static void refuse_added_weights(const TensorSource& source, const LinearSite& site) {
    for (const char* name : {".vals", ".full_rows"})
      if (source.contains(site.name + name))
        throw UnsupportedError(site.name + name + ": single weights added to a table are not read",
                               "convert the checkpoint without its sparse part");
  }

  /// Throws FormatError for the first row of `wrong`, bool [rows, values], with a true entry.
  static void refuse_rows(const at::Tensor& wrong, const std::string& name, const char* what) {
    const at::Tensor rows = wrong.any(1).nonzero();
    if (rows.size(0) > 0)
      throw FormatError(name + ": row " + std::to_string(rows[0][0].item<int64_t>()) +
                        " (from 0) " + what);
  }

  /// Stored as float16, as here, or float32, as by SqueezeLLM's own tools.
  static at::Tensor read_table(const TensorSource& source, const std::string& name,
                               const std::vector<int64_t>& shape) {
    const bool single = source.tensor(name).scalar_type() == at::kFloat;
    const at::Tensor table = read_tensor(source, name, single ? at::kFloat : at::kHalf, shape)
                                 .to(at::kFloat)
                                 .contiguous();
    refuse_rows(table.isfinite().logical_not(), name, "holds a value that is not finite");
    const int64_t steps = shape[1] - 1;
    refuse_rows(table.narrow(1, 1, steps).lt(table.narrow(1, 0, steps)), name,
                "has values that fall");
    return table;
  }
};

}  // namespace

std::unique_ptr<CheckpointFormat> squeezellm(Options& /*options*/) {
  return std::make_unique<SqueezeLlm>();
}

}  // namespace ptq::format
