#include "descent.h"

#include <algorithm>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "descent_kernel.h"
#include "ptq/core/cpu.h"

namespace ptq::quantizer {

Improvement descend(const LayerObjective& objective, QuantizedTensor& quantized) {
  const int64_t out = quantized.out_features(), in = quantized.in_features();
  const at::Tensor miss = quantized.dequantize().sub_(objective.weight);
  const at::Tensor fall = at::zeros({out}, at::kDouble), changed = at::zeros({out}, at::kLong);
  for (int64_t first = 0; first < in; first += kernels::DescentBlock::kMost) {
    const int64_t count = std::min(kernels::DescentBlock::kMost, in - first);
    const at::Tensor gradient = half_gradient(objective, miss, first, count);
    const at::Tensor corner = corner_of(objective, first, count);
    const kernels::DescentBlock block{gradient.data_ptr<float>(),
                                      corner.data_ptr<float>(),
                                      in,
                                      first,
                                      count,
                                      quantized.scheme.group_length(in),
                                      quantized.scale.data_ptr<float>(),
                                      quantized.zero.data_ptr<uint8_t>(),
                                      quantized.scale.size(1),
                                      static_cast<float>((1 << quantized.scheme.bits) - 1),
                                      quantized.q.data_ptr<uint8_t>(),
                                      miss.data_ptr<float>(),
                                      fall.data_ptr<double>(),
                                      changed.data_ptr<int64_t>()};
    at::parallel_for(0, out, 64, [&](int64_t begin, int64_t end) {
      run_on_cpu<kernels::DescendColumns>(block, begin, end);
    });
  }
  return {fall.sum().item<double>(), changed.sum().item<int64_t>()};
}

int64_t descent_workspace_bytes(int64_t out, int64_t in) {
  const int64_t count = std::min(in, kernels::DescentBlock::kMost);
  return out * in * 4 + out * count * 4 + count * count * 4;
}

}  // namespace ptq::quantizer
