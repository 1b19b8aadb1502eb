// The layout "pack-quantized" of compressed-tensors: codes packed along the inputs row by row, zero
// points packed along the outputs, scales in the model's dtype (docs/formats.md).
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <ATen/ATen.h>

#include "compressed_tensors_config.h"
#include "engine_rules.h"
#include "json_fields.h"
#include "ptq/core/error.h"
#include "ptq/formats/format.h"
#include "ptq/quant/bit_pack.h"
#include "tensor_checks.h"

namespace ptq::format {
namespace {

const std::vector<EngineRule>& engine_rules() {
  static const std::vector<EngineRule> kRules = [] {
    EngineRule vllm{"vLLM", {4, 8}, {4}, "only the experimental Humming kernels load them"};
    vllm.group_sizes = {-1, 32, 64, 128};
    vllm.fuses = true;
    vllm.out_multiple = 64;
    vllm.in_multiple = 128;
    vllm.note = "Marlin or Machete kernels";
    const std::set<int> all{2, 3, 4, 5, 6, 7, 8};
    EngineRule transformers{"transformers", all, all, "not in this format"};
    transformers.note = "with compressed-tensors 0.17 or later installed";
    EngineRule sglang{"SGLang", {4, 8}, {4, 8}, "not loaded"};
    sglang.mixed = false;
    sglang.fuses = true;
    EngineRule llama{"llama.cpp",
                     {4, 8},
                     {4},
                     "not known to load; the converter expects odd widths packed as before 0.17"};
    llama.channel = false;
    llama.mixed = false;
    llama.note = "through convert_hf_to_gguf";
    return std::vector<EngineRule>{vllm, transformers, sglang, llama};
  }();
  return kRules;
}

/// uint8 [rows, n] from words of floor(32 / bits) values each, as before compressed-tensors 0.17.
at::Tensor unpack_padded(const at::Tensor& words, int bits, int64_t n) {
  const int64_t per_word = 32 / bits, rows = words.size(0), width = words.size(1);
  const at::Tensor in = words.contiguous();
  at::Tensor out = at::empty({rows, n}, at::kByte);
  const int32_t* word = in.data_ptr<int32_t>();
  uint8_t* value = out.data_ptr<uint8_t>();
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t i = 0; i < n; ++i) {
      const auto packed = static_cast<uint32_t>(word[row * width + i / per_word]);
      value[row * n + i] =
          static_cast<uint8_t>(packed >> (i % per_word * bits) & ((1u << bits) - 1));
    }
  return out;
}

/// Unpacks rows of `n` values that are a bit stream or, in files from before 0.17, padded words;
/// their width tells which.  Throws FormatError naming the tensor if it is neither.
at::Tensor unpack_either(const at::Tensor& words, const std::string& name, int bits, int64_t n) {
  const int64_t width = words.size(1);
  if (width == dense_words(n, bits)) return unpack_bits(words, bits, n);
  if (width == padded_words(n, bits)) return unpack_padded(words, bits, n);
  throw FormatError(name + " has " + std::to_string(width) + " words for " + std::to_string(n) +
                    " values of " + std::to_string(bits) + " bits, not " +
                    std::to_string(dense_words(n, bits)));
}

at::Tensor read_words(const TensorSource& source, const std::string& name, int64_t rows,
                      int64_t rows_dimension) {
  const at::Tensor words = source.tensor(name);
  if (words.scalar_type() != at::kInt || words.dim() != 2 || words.size(rows_dimension) != rows)
    throw FormatError(name + " is not an int32 matrix with " + std::to_string(rows) +
                      (rows_dimension == 0 ? " rows" : " columns"));
  return words;
}

at::Tensor read_zeros(const TensorSource& source, const std::string& name,
                      const QuantScheme& scheme, const LinearSite& site) {
  const int64_t groups = scheme.groups(site.in_features);
  if (scheme.symmetric) {
    if (source.contains(name))
      throw FormatError(name + " is stored, though the scheme is symmetric");
    return at::full({site.out_features, groups}, 1 << (scheme.bits - 1), at::kByte);
  }
  const at::Tensor words = read_words(source, name, groups, 1).t().contiguous();
  return unpack_either(words, name, scheme.bits, site.out_features).t().contiguous();
}

at::Tensor read_groups(const TensorSource& source, const std::string& name,
                       const QuantScheme& scheme, int64_t in_features) {
  const at::Tensor contiguous = contiguous_groups(scheme, in_features);
  if (!source.contains(name)) return contiguous;
  // -1 throughout: made room for, but not used.
  if (read_tensor(source, name, at::kInt, {in_features}).eq(-1).all().item<bool>())
    return contiguous;
  return read_group_index(source, name, in_features, scheme.groups(in_features));
}

class CompressedTensors : public CheckpointFormat {
 public:
  std::optional<std::string> unsupported(const LinearSite& site,
                                         const QuantScheme& scheme) const override {
    if (scheme.lookup) return kNoTables;
    if (scheme.bits < 2 || scheme.bits > 8)
      return std::to_string(scheme.bits) + " bits: the layout has 2 to 8";
    if (site.in_features % scheme.group_length(site.in_features) != 0)
      return "group size " + std::to_string(scheme.group_size) + " does not divide the " +
             std::to_string(site.in_features) + " inputs";
    return std::nullopt;
  }

  std::optional<std::string> unsupported(const FormatContext& context) const override {
    if (context.plan.empty()) return "no linear is quantized";
    return std::nullopt;
  }

  std::map<std::string, at::Tensor> pack(const LinearSite& site, const QuantizedTensor& weight,
                                         at::ScalarType model_dtype) const override {
    if (const auto reason = unsupported(site, weight.scheme))
      throw UnsupportedError(site.name + " cannot be stored as compressed-tensors: " + *reason);
    if (!weight.group_of.equal(contiguous_groups(weight.scheme, site.in_features)))
      throw UnsupportedError(site.name + " has activation-ordered groups, which are not written",
                             "use static groups");
    const int bits = weight.scheme.bits;
    std::map<std::string, at::Tensor> tensors{
        {site.name + ".weight_packed", pack_bits(weight.q, bits)},
        {site.name + ".weight_scale", exact_scales(weight.scale, model_dtype)},
        {site.name + ".weight_shape",
         at::tensor({site.out_features, site.in_features}, at::kLong)}};
    if (!weight.scheme.symmetric)
      tensors[site.name + ".weight_zero_point"] = pack_bits(weight.zero.t(), bits).t().contiguous();
    return tensors;
  }

  QuantizedTensor unpack(const LinearSite& site, const QuantScheme& scheme,
                         const TensorSource& source) const override {
    const int64_t out = site.out_features, in = site.in_features;
    const std::string shape_name = site.name + ".weight_shape";
    const at::Tensor shape = read_tensor(source, shape_name, at::kLong, {2});
    if (!shape.equal(at::tensor({out, in}, at::kLong)))
      throw FormatError(shape_name + " is [" + std::to_string(shape[0].item<int64_t>()) + ", " +
                        std::to_string(shape[1].item<int64_t>()) + "], not [" +
                        std::to_string(out) + ", " + std::to_string(in) + "]");
    const std::string packed = site.name + ".weight_packed";
    QuantizedTensor weight;
    weight.scheme = scheme;
    weight.q = unpack_either(read_words(source, packed, out, 0), packed, scheme.bits, in);
    weight.scale =
        read_scales(source, site.name + ".weight_scale", {out, scheme.groups(in)}).contiguous();
    weight.zero = read_zeros(source, site.name + ".weight_zero_point", scheme, site);
    weight.group_of = read_groups(source, site.name + ".weight_g_idx", scheme, in);
    return weight;
  }

  Json config(const FormatContext& context) const override {
    return write_compressed_tensors_config(context);
  }

  std::vector<EngineSupport> engines(const FormatContext& context) const override {
    return judge(engine_rules(), context);
  }

  bool reads(const Json& quantization_config) const override {
    return JsonFields(quantization_config, "quantization_config").text("quant_method", "") ==
           "compressed-tensors";
  }

  QuantPlan plan(const Json& quantization_config, const std::vector<LinearSite>& sites,
                 const TensorSource& source) const override {
    return read_compressed_tensors_plan(quantization_config, sites, source);
  }
};

}  // namespace

std::unique_ptr<CheckpointFormat> compressed_tensors(Options& /*options*/) {
  return std::make_unique<CompressedTensors>();
}

}  // namespace ptq::format
