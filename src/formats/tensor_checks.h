#pragma once
#include <initializer_list>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "ptq/io/checkpoint.h"
#include "ptq/model/site.h"

namespace ptq {

/// Why a format that holds grids does not take a scheme with lookup tables.
constexpr const char* kNoTables = "lookup tables: use --format squeezellm";

/// The tensor `name`.  Throws FormatError naming it if it is absent or its dtype or shape is
/// another.
at::Tensor read_tensor(const TensorSource& source, const std::string& name, at::ScalarType dtype,
                       const std::vector<int64_t>& shape);

/// Scales stored as float16, bfloat16 or float32, as float32.  Throws FormatError naming the tensor
/// for another dtype or shape, and for a scale that is 0 or not finite.
at::Tensor read_scales(const TensorSource& source, const std::string& name,
                       const std::vector<int64_t>& shape);

/// Group indices int32 [in].  Throws FormatError naming the tensor for another dtype or shape, and
/// for an index outside 0 … groups − 1.
at::Tensor read_group_index(const TensorSource& source, const std::string& name,
                            int64_t in_features, int64_t groups);

/// `scale` in `dtype`; throws std::logic_error if that is not the same number.
at::Tensor exact_scales(const at::Tensor& scale, at::ScalarType dtype);

/// Throws UnsupportedError if `source` holds a tensor "<prefix><suffix>" whose prefix is no site: a
/// quantized layer this program does not know.
void require_known_layers(const TensorSource& source, const std::vector<LinearSite>& sites,
                          const std::string& suffix);

/// Whether `source` stores `site` packed, as AutoGPTQ and AutoAWQ name it ("<site>.qweight"), and
/// not as a plain weight: what is stored decides, as for vLLM.  Throws FormatError if neither is
/// there.
bool stores_qweight(const TensorSource& source, const LinearSite& site);

}  // namespace ptq
