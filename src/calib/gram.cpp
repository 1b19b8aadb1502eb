#include "ptq/calib/gram.h"

#include <ATen/ATen.h>

#include "ptq/model/matmul.h"

namespace ptq {

Gram::Gram(int64_t in_features)
    : sum_(at::zeros({in_features, in_features}, at::kFloat)),
      first_diagonal_(at::zeros({in_features}, at::kDouble)) {}

void Gram::add(const at::Tensor& x) {
  const int64_t in = sum_.size(0);
  const at::Tensor rows = x.reshape({-1, in});
  add_transposed_product(rows, rows, {}, Part::kUpper, sum_);
  first_diagonal_.add_(x.select(-2, 0).reshape({-1, in}).to(at::kDouble).square().sum(0));
  tokens_ += rows.size(0);
}

void Gram::finish() {
  // What was computed below the diagonal gives way to its mirror image, so that the matrix is
  // symmetric to the bit.
  sum_.triu_();
  sum_.add_(sum_.triu(1).t());
}

int64_t Gram::bytes() const {
  return sum_.numel() * 4 + first_diagonal_.numel() * 8;
}

}  // namespace ptq
