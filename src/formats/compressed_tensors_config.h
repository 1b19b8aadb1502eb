#pragma once
#include <vector>

#include "ptq/formats/format.h"

namespace ptq {

/// Words in a row of `n` values since compressed-tensors 0.17: one contiguous bit stream.
int64_t dense_words(int64_t n, int bits);

/// Words in a row of `n` values before 0.17: floor(32 / bits) values in each word.
int64_t padded_words(int64_t n, int bits);

/// The "quantization_config" of a compressed-tensors directory: one group with the target "Linear",
/// or one group a scheme with the exact names of its linears.
Json write_compressed_tensors_config(const FormatContext& context);

/// The schemes of all sites that a group targets and `ignore` does not list.  Throws FormatError
/// for a wrong field or where config and tensors contradict each other, UnsupportedError naming
/// what is not read.
QuantPlan read_compressed_tensors_plan(const Json& quantization_config,
                                       const std::vector<LinearSite>& sites,
                                       const TensorSource& source);

}  // namespace ptq
