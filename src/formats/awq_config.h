#pragma once
#include <optional>
#include <string>
#include <vector>

#include "ptq/formats/format.h"

namespace ptq {

/// The "quantization_config" of an AWQ directory, with the linears of `context` that stay as they
/// are, also under the names that fused layers have.
Json write_awq_config(const FormatContext& context);

/// A name in `modules_to_not_convert`, which readers look for anywhere in a linear's name, that
/// would leave out a quantized linear, too: the reason not to write such a directory.
std::optional<std::string> ambiguous_skip(const FormatContext& context);

/// The schemes of all sites that have a `qweight`: symmetric where the config says so or all zero
/// points are 8.  Reads AutoAWQ's older names of the fields, too.  Throws FormatError for a wrong
/// field, UnsupportedError for what is not read.
QuantPlan read_awq_plan(const Json& quantization_config, const std::vector<LinearSite>& sites,
                        const TensorSource& source);

}  // namespace ptq
