#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ptq/core/registry.h"
#include "ptq/io/checkpoint.h"
#include "ptq/model/site.h"
#include "ptq/quant/quantized_tensor.h"

namespace ptq {

/// Everything a format needs to know to describe an output directory.
struct FormatContext {
  QuantPlan plan;                 ///< the quantized linears
  std::vector<LinearSite> sites;  ///< all linears of the model
  at::ScalarType model_dtype = at::kFloat;
  std::string tool_version;
  Json method;  ///< {"name": …, options…}, for formats with a place for it
};

/// Whether an inference engine loads an output, as known from its source.
struct EngineSupport {
  std::string engine;  ///< "vLLM", "transformers", "SGLang", "llama.cpp"
  bool loads = false;
  std::string note;  ///< the condition or the reason
};

/// A checkpoint layout on disk: a pair of inverses, a predicate and its config.  `unpack(pack(q))
/// == q` bit for bit.
class CheckpointFormat {
 public:
  virtual ~CheckpointFormat() = default;

  /// The reason why this format cannot hold `scheme` for `site`, or nothing.
  virtual std::optional<std::string> unsupported(const LinearSite& site,
                                                 const QuantScheme& scheme) const = 0;

  /// The reason why this format cannot hold the plan as a whole (mixed schemes, …), or nothing.
  virtual std::optional<std::string> unsupported(const FormatContext& context) const = 0;

  /// The tensors that replace "<site>.weight", by full checkpoint name.
  virtual std::map<std::string, at::Tensor> pack(const LinearSite& site,
                                                 const QuantizedTensor& weight,
                                                 at::ScalarType model_dtype) const = 0;

  /// Reads one linear back.  Throws FormatError naming the tensor and the fault (shape, dtype,
  /// range).
  virtual QuantizedTensor unpack(const LinearSite& site, const QuantScheme& scheme,
                                 const TensorSource& source) const = 0;

  /// config.json's "quantization_config".
  virtual Json config(const FormatContext& context) const = 0;

  /// Further files of the output directory by name, with their content.
  virtual std::map<std::string, Json> extra_files(const FormatContext& context) const {
    static_cast<void>(context);
    return {};
  }

  /// Which engines load an output with this plan, with the condition or the first reason why not.
  virtual std::vector<EngineSupport> engines(const FormatContext& context) const = 0;

  /// True if `quantization_config` (of any tool) describes this format.
  virtual bool reads(const Json& quantization_config) const = 0;

  /// The scheme of every quantized site of a directory with this `quantization_config`.
  /// Throws UnsupportedError for what cannot be read (by name), FormatError for what is malformed.
  virtual QuantPlan plan(const Json& quantization_config, const std::vector<LinearSite>& sites,
                         const TensorSource& source) const = 0;

  /// What a reader should be told about a directory whose `plan` this is: where the tensors
  /// contradict the config and were believed.
  virtual std::vector<std::string> notes(const QuantPlan& plan, const TensorSource& source) const {
    static_cast<void>(plan);
    static_cast<void>(source);
    return {};
  }
};

/// The formats by name (src/formats).
const Registry<CheckpointFormat>& formats();

}  // namespace ptq
