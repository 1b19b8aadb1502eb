#include "ptq/calib/gram.h"

#include <algorithm>

#include <ATen/ATen.h>

namespace ptq {
namespace {

/// Columns of one panel of the triangle.  With k panels the product costs (k+1)/2k of the full one;
/// panels narrower than this lose more in the matrix product than they save.
int64_t panel_width(int64_t in_features) {
  return in_features <= 768 ? 96 : 192;
}

}  // namespace

Gram::Gram(int64_t in_features)
    : sum_(at::zeros({in_features, in_features}, at::kFloat)),
      first_diagonal_(at::zeros({in_features}, at::kDouble)) {}

void Gram::add(const at::Tensor& x) {
  const int64_t in = sum_.size(0);
  const at::Tensor rows = x.reshape({-1, in});
  const int64_t width = panel_width(in);
  for (int64_t begin = 0; begin < in; begin += width) {
    const int64_t count = std::min(width, in - begin);
    at::Tensor panel = sum_.narrow(0, begin, count).narrow(1, begin, in - begin);
    panel.addmm_(rows.narrow(1, begin, count).t(), rows.narrow(1, begin, in - begin));
  }
  first_diagonal_.add_(x.select(-2, 0).reshape({-1, in}).to(at::kDouble).square().sum(0));
  tokens_ += rows.size(0);
}

void Gram::finish() {
  const int64_t in = sum_.size(0);
  const int64_t width = panel_width(in);
  for (int64_t begin = 0; begin < in; begin += width) {
    const int64_t count = std::min(width, in - begin);
    sum_.narrow(0, begin + count, in - begin - count)
        .narrow(1, begin, count)
        .copy_(sum_.narrow(0, begin, count).narrow(1, begin + count, in - begin - count).t());
  }
}

int64_t Gram::bytes() const {
  return sum_.numel() * 4 + first_diagonal_.numel() * 8;
}

}  // namespace ptq
