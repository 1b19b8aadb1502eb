// AutoAWQ's layout "gemm": codes and zero points packed along the outputs, eight to a word in an
// order of its own, scales in float16 (docs/formats.md).
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <ATen/ATen.h>

#include "awq_config.h"
#include "engine_rules.h"
#include "json_fields.h"
#include "ptq/core/error.h"
#include "ptq/formats/format.h"
#include "ptq/quant/bit_pack.h"
#include "tensor_checks.h"

namespace ptq::format {
namespace {

constexpr int kBits = 4;
constexpr int64_t kPerWord = 32 / kBits;

const std::vector<EngineRule>& engine_rules() {
  static const std::vector<EngineRule> kRules = [] {
    EngineRule vllm{"vLLM", {4}, {4}, "only 4 bits are loaded"};
    vllm.group_sizes = {-1, 32, 64, 128};
    vllm.fuses = true;
    vllm.out_multiple = 64;
    vllm.in_multiple = 128;
    vllm.note = "Marlin kernels";
    EngineRule transformers{"transformers", {4}, {4}, "only 4 bits are loaded"};
    transformers.note = "with gptqmodel installed";
    EngineRule sglang{"SGLang", {4}, {4}, "only 4 bits are loaded"};
    sglang.group_sizes = {-1, 32, 64, 128};
    sglang.fuses = true;
    sglang.note = "AWQ Marlin kernels";
    const EngineRule llama{"llama.cpp", {}, {}, "the converter does not read AWQ"};
    return std::vector<EngineRule>{vllm, transformers, sglang, llama};
  }();
  return kRules;
}

/// uint8 [rows, n], every eight columns taken in the order `from`.
at::Tensor reordered(const at::Tensor& values, const std::vector<int64_t>& from) {
  return values.reshape({values.size(0), -1, kPerWord})
      .index_select(2, at::tensor(from, at::kLong))
      .reshape_as(values);
}

/// int32 [rows, n / 8] from uint8 [rows, n]: field i of a word holds column order[i] of its eight.
at::Tensor pack_words(const at::Tensor& values) {
  return pack_bits(reordered(values, {0, 2, 4, 6, 1, 3, 5, 7}), kBits);
}

/// The inverse: column j of a word's eight lies in field inverse[j].
at::Tensor unpack_words(const at::Tensor& words) {
  return reordered(unpack_bits(words, kBits, words.size(1) * kPerWord), {0, 4, 1, 5, 2, 6, 3, 7});
}

/// Nothing, or why the shape does not fit the layout.
std::optional<std::string> misfit(const LinearSite& site, const QuantScheme& scheme) {
  if (site.in_features % scheme.group_length(site.in_features) != 0)
    return "group size " + std::to_string(scheme.group_size) + " does not divide the " +
           std::to_string(site.in_features) + " inputs";
  if (site.out_features % kPerWord != 0)
    return std::to_string(site.out_features) + " outputs: a multiple of 8 is needed";
  return std::nullopt;
}

class Awq : public CheckpointFormat {
 public:
  std::optional<std::string> unsupported(const LinearSite& site,
                                         const QuantScheme& scheme) const override {
    if (scheme.lookup) return kNoTables;
    if (scheme.bits != kBits)
      return std::to_string(scheme.bits) +
             " bits: the layout has 4; compressed-tensors holds 2 to 8";
    return misfit(site, scheme);
  }

  std::optional<std::string> unsupported(const FormatContext& context) const override {
    if (context.plan.empty()) return "no linear is quantized";
    const int64_t group_size = context.plan.begin()->second.group_size;
    for (const auto& [name, scheme] : context.plan)
      if (scheme.group_size != group_size)
        return "the layout has one group size for all linears, not " + std::to_string(group_size) +
               " and, for " + name + ", " + std::to_string(scheme.group_size) +
               "; use compressed-tensors or gptq";
    return ambiguous_skip(context);
  }

  std::map<std::string, at::Tensor> pack(const LinearSite& site, const QuantizedTensor& weight,
                                         at::ScalarType /*model_dtype*/) const override {
    if (const auto reason = unsupported(site, weight.scheme))
      throw UnsupportedError(site.name + " cannot be stored as awq: " + *reason);
    if (!weight.group_of.equal(contiguous_groups(weight.scheme, site.in_features)))
      throw UnsupportedError(site.name + " has activation-ordered groups, which awq cannot store",
                             "use static groups");
    return {{site.name + ".qweight", pack_words(weight.q.t())},
            {site.name + ".qzeros", pack_words(weight.zero.t())},
            {site.name + ".scales", exact_scales(weight.scale, at::kHalf).t().contiguous()}};
  }

  QuantizedTensor unpack(const LinearSite& site, const QuantScheme& scheme,
                         const TensorSource& source) const override {
    if (const auto fault = misfit(site, scheme)) throw FormatError(site.name + ": " + *fault);
    const int64_t out = site.out_features, in = site.in_features, groups = scheme.groups(in);
    const std::string zeros = site.name + ".qzeros";
    const at::Tensor qweight =
        read_tensor(source, site.name + ".qweight", at::kInt, {in, out / kPerWord});
    const at::Tensor qzeros = read_tensor(source, zeros, at::kInt, {groups, out / kPerWord});
    QuantizedTensor weight;
    weight.scheme = scheme;
    weight.q = unpack_words(qweight).t().contiguous();
    weight.zero = unpack_words(qzeros).t().contiguous();
    if (scheme.symmetric && !weight.zero.eq(1 << (kBits - 1)).all().item<bool>())
      throw FormatError(zeros + " holds other zero points than 8, the only one without zero_point",
                        "the config's \"zero_point\" or the tensor is wrong");
    weight.scale = read_scales(source, site.name + ".scales", {groups, out}).t().contiguous();
    weight.group_of = contiguous_groups(scheme, in);
    return weight;
  }

  Json config(const FormatContext& context) const override { return write_awq_config(context); }

  std::vector<EngineSupport> engines(const FormatContext& context) const override {
    return judge(engine_rules(), context);
  }

  bool reads(const Json& quantization_config) const override {
    return JsonFields(quantization_config, "quantization_config").text("quant_method", "") == "awq";
  }

  QuantPlan plan(const Json& quantization_config, const std::vector<LinearSite>& sites,
                 const TensorSource& source) const override {
    return read_awq_plan(quantization_config, sites, source);
  }
};

}  // namespace

std::unique_ptr<CheckpointFormat> awq(Options& /*options*/) {
  return std::make_unique<Awq>();
}

}  // namespace ptq::format
