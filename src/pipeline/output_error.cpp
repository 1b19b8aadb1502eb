#include "output_error.h"

#include <ATen/ATen.h>

#include "ptq/model/matmul.h"

namespace ptq::detail {
namespace {

/// tr(A H Aᵀ), summed in float64.
double trace_of(const at::Tensor& a, const at::Tensor& h) {
  return matrix_product(a, h).mul_(a).sum(at::kDouble).item<double>();
}

}  // namespace

double relative_output_error(const at::Tensor& weight, const QuantizedTensor& quantized,
                             const at::Tensor& gram) {
  const at::Tensor w = weight.cpu().contiguous();
  const at::Tensor h = gram.cpu().contiguous();
  const double energy = trace_of(w, h);
  return energy > 0 ? trace_of(quantized.dequantize().sub_(w), h) / energy : 0;
}

int64_t output_error_bytes(int64_t out_features, int64_t in_features) {
  // The difference and its product with the Gram matrix, in float32.
  return 2 * 4 * out_features * in_features;
}

}  // namespace ptq::detail
