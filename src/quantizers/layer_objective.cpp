#include "layer_objective.h"

#include <algorithm>

#include <ATen/ATen.h>

#include "ptq/model/matmul.h"

namespace ptq::quantizer {
namespace {

constexpr int64_t kFormWidth = 256;  ///< columns that quadratic_form takes at a time

}  // namespace

double quadratic_form(const at::Tensor& a, const at::Tensor& h) {
  double total = 0;
  for (int64_t first = 0; first < a.size(1); first += kFormWidth) {
    const int64_t count = std::min(kFormWidth, a.size(1) - first);
    const at::Tensor rows = h.narrow(1, first, count), block = a.narrow(1, first, count);
    at::Tensor product = matrix_product(block, rows.narrow(0, first, count));
    if (first > 0) product.add_(matrix_product(a.narrow(1, 0, first), rows.narrow(0, 0, first)), 2);
    total += product.mul_(block).sum(at::kDouble).item<double>();
  }
  return total;
}

int64_t quadratic_form_bytes(int64_t out, int64_t in) {
  // A product in float32 and again in float64 for its sum.
  return out * std::min(in, kFormWidth) * (4 + 8);
}

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
