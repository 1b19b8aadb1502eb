#pragma once
#include <string>
#include <vector>

#include "ptq/formats/format.h"

namespace ptq {

/// The "quantization_config" of a GPTQ directory; `checkpoint_format`: "gptq" or "gptq_v2". Linears
/// with another scheme than the most frequent one, and linears left as they are, are listed under
/// `dynamic` as GPTQModel spells it, also under the names that vLLM's fused layers have.
Json write_gptq_config(const FormatContext& context, const std::string& checkpoint_format);

/// The `checkpoint_format` that a "quantization_config" names, "gptq" if none; empty unless its
/// quant_method is "gptq".
std::string gptq_checkpoint_format(const Json& quantization_config);

/// The schemes of all sites that have a `qweight`.  Throws FormatError for a wrong field,
/// UnsupportedError for what is not read.
QuantPlan read_gptq_plan(const Json& quantization_config, const std::vector<LinearSite>& sites,
                         const TensorSource& source);

}  // namespace ptq
