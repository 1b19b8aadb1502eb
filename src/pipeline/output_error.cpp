#include "output_error.h"

#include <ATen/ATen.h>

#include "ptq/model/quadratic_form.h"

namespace ptq::detail {

double relative_output_error(const at::Tensor& weight, const QuantizedTensor& quantized,
                             const at::Tensor& gram) {
  const at::Tensor w = weight.cpu().contiguous();
  const at::Tensor h = gram.cpu().contiguous();
  const double energy = quadratic_form(w, h);
  return energy > 0 ? quadratic_form(quantized.dequantize().sub_(w), h) / energy : 0;
}

int64_t output_error_bytes(int64_t out_features, int64_t in_features) {
  // The difference in float32, and what its form takes.
  return 4 * out_features * in_features + quadratic_form_bytes(out_features, in_features);
}

}  // namespace ptq::detail
