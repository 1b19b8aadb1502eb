#include "ptq/calib/gram.h"

#include <ATen/ATen.h>

namespace ptq {
namespace {

/// Columns up to which a block on the diagonal is multiplied whole.  Halving costs (1 + leaf/in)/2
/// of the full product; smaller leaves lose more in the matrix product than they save.
constexpr int64_t kLeaf = 144;

/// Where a block of the diagonal is cut: a multiple of 16 keeps the kernels' tiles whole.
int64_t half(int64_t count) {
  return (count / 2 + 15) / 16 * 16;
}

/// Adds the upper triangle of rowsᵀ·rows for the columns [begin, begin + count): the block right of
/// the diagonal in one product, the two on it by the same rule.
void add_triangle(at::Tensor& sum, const at::Tensor& rows, int64_t begin, int64_t count) {
  const int64_t left = count <= kLeaf ? count : half(count);
  const at::Tensor first = rows.narrow(1, begin, left).t();
  if (left == count) {
    sum.narrow(0, begin, count).narrow(1, begin, count).addmm_(first, rows.narrow(1, begin, count));
    return;
  }
  sum.narrow(0, begin, left)
      .narrow(1, begin + left, count - left)
      .addmm_(first, rows.narrow(1, begin + left, count - left));
  add_triangle(sum, rows, begin, left);
  add_triangle(sum, rows, begin + left, count - left);
}

}  // namespace

Gram::Gram(int64_t in_features)
    : sum_(at::zeros({in_features, in_features}, at::kFloat)),
      first_diagonal_(at::zeros({in_features}, at::kDouble)) {}

void Gram::add(const at::Tensor& x) {
  const int64_t in = sum_.size(0);
  const at::Tensor rows = x.reshape({-1, in});
  add_triangle(sum_, rows, 0, in);
  first_diagonal_.add_(x.select(-2, 0).reshape({-1, in}).to(at::kDouble).square().sum(0));
  tokens_ += rows.size(0);
}

void Gram::finish() {
  // What a leaf computed below the diagonal gives way to its mirror image, so that the matrix is
  // symmetric to the bit.
  sum_.triu_();
  sum_.add_(sum_.triu(1).t());
}

int64_t Gram::bytes() const {
  return sum_.numel() * 4 + first_diagonal_.numel() * 8;
}

}  // namespace ptq
