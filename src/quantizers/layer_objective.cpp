#include "layer_objective.h"

#include <ATen/ATen.h>

#include "ptq/model/matmul.h"

namespace ptq::quantizer {
at::Tensor half_gradient(const LayerObjective& objective, const at::Tensor& miss, int64_t first,
                         int64_t count) {
  at::Tensor gradient = matrix_product(miss, objective.gram.narrow(1, first, count));
  return gradient.addcmul_(miss.narrow(1, first, count), objective.added.narrow(0, first, count));
}

at::Tensor corner_of(const LayerObjective& objective, int64_t first, int64_t count) {
  at::Tensor corner = objective.gram.narrow(0, first, count)
                          .narrow(1, first, count)
                          .clone(at::MemoryFormat::Contiguous);
  corner.diagonal().add_(objective.added.narrow(0, first, count));
  return corner;
}

}  // namespace ptq::quantizer
