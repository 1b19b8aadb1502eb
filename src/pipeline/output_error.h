#pragma once
#include <cstdint>

#include <ATen/core/Tensor.h>

#include "ptq/quant/quantized_tensor.h"

namespace ptq::detail {

/// The statistic that relative_output_error reads.
constexpr const char* kOutputStatistic = "gram";

/// Σ ‖(Ŵ−W) x‖² / Σ ‖W x‖² over the tokens of `gram` = Σ x xᵀ, float32 [in, in]: what
/// QuantizedSite::relative_error says, of any method alike.  `weight` W: float32 [out, in]; both on
/// any device.  0 where no output is anything but 0.
double relative_output_error(const at::Tensor& weight, const QuantizedTensor& quantized,
                             const at::Tensor& gram);

/// What relative_output_error takes beside its arguments, in bytes.
int64_t output_error_bytes(int64_t out_features, int64_t in_features);

}  // namespace ptq::detail
