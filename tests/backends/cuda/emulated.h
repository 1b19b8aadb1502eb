#pragma once
#include <cstdint>
#include <vector>

#include "emulator/emulator.h"
#include "host_weight.h"
#include "kernels/arguments.h"

namespace ptq::cuda {

/// The weight as kernel L makes it, [n, padded_k], in runs of `strips` strips of 64 channels.
std::vector<uint16_t> emulate_dequantize(const HostWeight& weight, int strips);

/// Activations [m, k] (float32, contiguous) staged for `weight`, [m, padded_k], in the weight's
/// sorted order.
std::vector<uint16_t> emulate_stage(const HostWeight& weight, const std::vector<float>& x);

/// The sparse part's sums [pieces, m] of staged activations.
std::vector<float> emulate_sparse(const HostWeight& weight, const std::vector<uint16_t>& staged);

}  // namespace ptq::cuda
