#include "gptq_layout.h"

#include <ATen/ATen.h>

#include "engine_rules.h"
#include "gptq_config.h"
#include "ptq/core/error.h"
#include "ptq/quant/bit_pack.h"
#include "tensor_checks.h"

namespace ptq {
namespace {

const char* name_of(GptqVersion version) {
  return version == GptqVersion::kV1 ? "gptq" : "gptq_v2";
}

const std::vector<EngineRule>& engine_rules() {
  static const std::vector<EngineRule> kRules = [] {
    EngineRule vllm{"vLLM", {4, 8}, {}, "only 4- and 8-bit symmetric GPTQ is loaded"};
    vllm.group_sizes = {-1, 32, 64, 128};
    vllm.fuses = true;
    vllm.out_multiple = 64;
    vllm.in_multiple = 128;
    vllm.note = "Marlin kernels";
    EngineRule transformers{"transformers", {2, 3, 4, 8}, {2, 3, 4, 8}, "not in this format"};
    transformers.note = "with gptqmodel installed";
    EngineRule sglang{"SGLang", {4, 8}, {}, "not known to load"};
    sglang.fuses = true;
    sglang.note = "GPTQ Marlin kernels";
    EngineRule llama{"llama.cpp", {2, 4, 8}, {2, 4, 8}, "the converter does not unpack them"};
    llama.mixed = false;
    llama.note = "through convert_hf_to_gguf, which dequantizes";
    return std::vector<EngineRule>{vllm, transformers, sglang, llama};
  }();
  return kRules;
}

}  // namespace

int64_t values_per_words(int bits) {
  return bits == 3 ? 32 : 32 / bits;
}

std::optional<std::string> unsupported_codes(const LinearSite& site, int bits) {
  const int64_t multiple = values_per_words(bits);
  if (site.in_features % multiple == 0) return std::nullopt;
  return std::to_string(site.in_features) + " inputs: with " + std::to_string(bits) +
         " bits a multiple of " + std::to_string(multiple) + " is needed";
}

at::Tensor pack_qweight(const at::Tensor& q, int bits) {
  return pack_bits(q, bits).t().contiguous();
}

at::Tensor read_qweight(const TensorSource& source, const LinearSite& site, int bits) {
  if (const auto reason = unsupported_codes(site, bits))
    throw FormatError(site.name + ": " + *reason);
  const at::Tensor qweight = read_tensor(source, site.name + ".qweight", at::kInt,
                                         {site.in_features * bits / 32, site.out_features});
  return unpack_bits(qweight.t().contiguous(), bits, site.in_features);
}

std::optional<std::string> GptqLayout::unsupported(const LinearSite& site,
                                                   const QuantScheme& scheme) const {
  if (scheme.lookup) return kNoTables;
  const std::string bits = std::to_string(scheme.bits);
  if (scheme.bits != 2 && scheme.bits != 3 && scheme.bits != 4 && scheme.bits != 8)
    return bits + " bits: the layout has 2, 3, 4 and 8; compressed-tensors holds 2 to 8";
  if (version_ == GptqVersion::kV1 && !scheme.symmetric)
    return "asymmetric: gptq (v1) stores zero - 1, so that readers misread a zero point of 0; use "
           "gptq_v2 or compressed-tensors";
  if (site.in_features % scheme.group_length(site.in_features) != 0)
    return "group size " + std::to_string(scheme.group_size) + " does not divide the " +
           std::to_string(site.in_features) + " inputs";
  if (auto reason = unsupported_codes(site, scheme.bits)) return reason;
  const int64_t multiple = values_per_words(scheme.bits);
  if (site.out_features % multiple != 0)
    return std::to_string(site.out_features) + " outputs: with " + bits + " bits a multiple of " +
           std::to_string(multiple) + " is needed";
  return std::nullopt;
}

std::optional<std::string> GptqLayout::unsupported(const FormatContext& context) const {
  if (context.plan.empty()) return "no linear is quantized";
  return std::nullopt;
}

std::map<std::string, at::Tensor> GptqLayout::pack(const LinearSite& site,
                                                   const QuantizedTensor& weight,
                                                   at::ScalarType /*model_dtype*/) const {
  if (const auto reason = unsupported(site, weight.scheme))
    throw UnsupportedError(site.name + " cannot be stored as " + name_of(version_) + ": " +
                           *reason);
  const at::Tensor groups = contiguous_groups(weight.scheme, site.in_features);
  if (!weight.group_of.equal(groups))
    throw UnsupportedError(site.name + " has activation-ordered groups, which are not written",
                           "use static groups");
  const int bits = weight.scheme.bits;
  return {{site.name + ".qweight", pack_qweight(weight.q, bits)},
          {site.name + ".qzeros", pack_zeros(weight.zero, bits, version_)},
          {site.name + ".scales", exact_scales(weight.scale, at::kHalf).t().contiguous()},
          {site.name + ".g_idx", groups}};
}

QuantizedTensor GptqLayout::unpack(const LinearSite& site, const QuantScheme& scheme,
                                   const TensorSource& source) const {
  const int64_t out = site.out_features, in = site.in_features, groups = scheme.groups(in);
  if (out % values_per_words(scheme.bits) != 0)
    throw FormatError(site.name + ": zero points of " + std::to_string(out) + " outputs of " +
                      std::to_string(scheme.bits) + " bits do not fill words");
  const at::Tensor qzeros =
      read_tensor(source, site.name + ".qzeros", at::kInt, {groups, out * scheme.bits / 32});
  QuantizedTensor weight;
  weight.scheme = scheme;
  weight.q = read_qweight(source, site, scheme.bits);
  weight.zero = unpack_zeros(qzeros, scheme, version_, site.name + ".qzeros");
  weight.scale = read_scales(source, site.name + ".scales", {groups, out}).t().contiguous();
  weight.group_of = read_group_index(source, site.name + ".g_idx", in, groups);
  return weight;
}

Json GptqLayout::config(const FormatContext& context) const {
  return write_gptq_config(context, name_of(version_));
}

std::map<std::string, Json> GptqLayout::extra_files(const FormatContext& context) const {
  return {{"quantize_config.json", config(context)}};
}

std::vector<EngineSupport> GptqLayout::engines(const FormatContext& context) const {
  return judge(engine_rules(), context);
}

bool GptqLayout::reads(const Json& quantization_config) const {
  return gptq_checkpoint_format(quantization_config) == name_of(version_);
}

QuantPlan GptqLayout::plan(const Json& quantization_config, const std::vector<LinearSite>& sites,
                           const TensorSource& source) const {
  return read_gptq_plan(quantization_config, sites, source);
}

std::vector<std::string> GptqLayout::notes(const QuantPlan& plan,
                                           const TensorSource& source) const {
  const ZeroWords expected = version_ == GptqVersion::kV1 ? ZeroWords::kV1 : ZeroWords::kV2;
  std::map<ZeroWords, int> found;
  for (const auto& [name, scheme] : plan) {
    if (!scheme.symmetric) continue;
    const at::Tensor qzeros = source.tensor(name + ".qzeros");
    if (qzeros.dim() != 2 || qzeros.scalar_type() != at::kInt) continue;  // unpack names the fault
    if (const auto words = symmetric_words(qzeros, scheme.bits)) ++found[*words];
  }
  std::vector<std::string> notes;
  for (const auto& [words, count] : found) {
    if (words == expected) continue;
    const std::string held = words == ZeroWords::kSwapped3
                                 ? "in the order that an old version wrote 3-bit words in"
                             : words == ZeroWords::kV1 ? "as gptq (v1) stores them"
                                                       : "as gptq_v2 stores them";
    notes.push_back("the zero points of " + std::to_string(count) + " linears are stored " + held +
                    ", though the config says " + name_of(version_) + "; the words were believed");
  }
  return notes;
}

}  // namespace ptq
