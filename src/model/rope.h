#pragma once
#include <mutex>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>

#include "ptq/model/config.h"

namespace ptq {

/// Radians per position of each of the head_dim/2 pairs: theta^(−2i/head_dim), rescaled for
/// "linear" (divided by the factor) and "llama3" (long wavelengths divided, short ones kept,
/// between them interpolated over 1/wavelength).
std::vector<double> rope_frequencies(const RopeConfig& config, int64_t head_dim);

/// Cosines and sines of all positions up to the longest sequence seen; computed in float64.
class RopeTable {
 public:
  RopeTable(const RopeConfig& config, int64_t head_dim)
      : frequencies_(rope_frequencies(config, head_dim)) {}

  /// {cos, sin}, float32 [seq, head_dim/2] each, on `device`.  Safe to call from several threads.
  std::pair<at::Tensor, at::Tensor> rows(int64_t seq, at::Device device) const;

 private:
  std::vector<double> frequencies_;
  mutable std::mutex mutex_;
  mutable at::Tensor cos_, sin_;
};

}  // namespace ptq
