#include <cstdio>

#include <ATen/ATen.h>

#include "ptq/quant/quantized_tensor.h"
#include "ptq/quantizers/quantizer.h"

int main() {
  for (const std::string& name : ptq::quantizers().names())
    std::printf("quantizer %s\n", name.c_str());
  ptq::QuantizedTensor weight;
  weight.scheme = {4, 8, true};
  weight.q = at::full({2, 16}, 9, at::kByte);
  weight.scale = at::full({2, 2}, 0.5);
  weight.zero = at::full({2, 2}, 8, at::kByte);
  weight.group_of = ptq::contiguous_groups(weight.scheme, 16);
  weight.check();
  std::printf("sum %g\n", weight.dequantize().sum().item<double>());  // 32 weights of (9 - 8) / 2
}
