#pragma once
#include <cstdint>
#include <vector>

#include "host_weight.h"

namespace ptq::cuda {

/// How kernel S is run on the emulator.
struct SmallMatmulRun {
  int tokens = 8;  ///< of a block: 8, 16, 32 or 64
  int splits = 1;
  bool float_output = true;
  const float* bias = nullptr;
  uint64_t seed = 1;
};

/// y [m, n] of activations x [m, k] through staging, the sparse kernel and kernel S.  Throws
/// std::logic_error if a ticket does not return to 0.
std::vector<float> emulate_small_matmul(const HostWeight& weight, const std::vector<float>& x,
                                        const SmallMatmulRun& run);

}  // namespace ptq::cuda
