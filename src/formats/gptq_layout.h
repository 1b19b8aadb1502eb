#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "gptq_zeros.h"
#include "ptq/formats/format.h"

namespace ptq {

/// Codes of an input dimension that fill whole words: 32 for 3 bits, else what one word holds.
int64_t values_per_words(int bits);

/// Why `bits` wide codes of `site` do not fill the words of a `qweight`, or nothing.
std::optional<std::string> unsupported_codes(const LinearSite& site, int bits);

/// Codes uint8 [out, in] packed along the inputs: int32 [in · bits / 32, out].
at::Tensor pack_qweight(const at::Tensor& q, int bits);

/// The inverse, of "<site>.qweight".  Throws FormatError where that is absent, and for another
/// dtype or shape.
at::Tensor read_qweight(const TensorSource& source, const LinearSite& site, int bits);

/// The layout that AutoGPTQ introduced, in both versions: `qweight` packed along the inputs,
/// `qzeros` packed along the outputs, `scales` and `g_idx` (docs/formats.md).
class GptqLayout : public CheckpointFormat {
 public:
  explicit GptqLayout(GptqVersion version) : version_(version) {}

  std::optional<std::string> unsupported(const LinearSite& site,
                                         const QuantScheme& scheme) const override;
  std::optional<std::string> unsupported(const FormatContext& context) const override;
  std::map<std::string, at::Tensor> pack(const LinearSite& site, const QuantizedTensor& weight,
                                         at::ScalarType model_dtype) const override;
  QuantizedTensor unpack(const LinearSite& site, const QuantScheme& scheme,
                         const TensorSource& source) const override;
  Json config(const FormatContext& context) const override;
  std::map<std::string, Json> extra_files(const FormatContext& context) const override;
  std::vector<EngineSupport> engines(const FormatContext& context) const override;
  bool reads(const Json& quantization_config) const override;
  QuantPlan plan(const Json& quantization_config, const std::vector<LinearSite>& sites,
                 const TensorSource& source) const override;
  std::vector<std::string> notes(const QuantPlan& plan, const TensorSource& source) const override;

 private:
  GptqVersion version_;
};

}  // namespace ptq
