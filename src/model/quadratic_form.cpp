#include "ptq/model/quadratic_form.h"

#include <algorithm>

#include <ATen/ATen.h>

#include "ptq/model/matmul.h"

namespace ptq {
namespace {

constexpr int64_t kWidth = 256;  ///< columns that are taken at a time

}  // namespace

double quadratic_form(const at::Tensor& a, const at::Tensor& h) {
  double total = 0;
  for (int64_t first = 0; first < a.size(1); first += kWidth) {
    const int64_t count = std::min(kWidth, a.size(1) - first);
    const at::Tensor rows = h.narrow(1, first, count), block = a.narrow(1, first, count);
    at::Tensor product = matrix_product(block, rows.narrow(0, first, count));
    if (first > 0) product.add_(matrix_product(a.narrow(1, 0, first), rows.narrow(0, 0, first)), 2);
    total += product.mul_(block).sum(at::kDouble).item<double>();
  }
  return total;
}

int64_t quadratic_form_bytes(int64_t out, int64_t in) {
  // A product in float32 and again in float64 for its sum.
  return out * std::min(in, kWidth) * (4 + 8);
}

}  // namespace ptq
