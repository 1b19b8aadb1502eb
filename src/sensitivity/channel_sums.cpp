#include "channel_sums.h"

#include <algorithm>
#include <stdexcept>

#include <ATen/ATen.h>

namespace ptq::estimator {
namespace {

/// Elements of a part in float64: 8 MB.
constexpr int64_t kPartElements = int64_t{1} << 20;

at::Tensor divided(const SiteView& site, const at::Tensor& sums, int64_t count, const char* what) {
  if (count < 1)
    throw std::logic_error(site.site.name + ": the statistics are over no " + std::string(what));
  return sums.to(at::kDouble) / static_cast<double>(count);
}

at::Tensor rows_of(const at::Tensor& matrix, int64_t first, int64_t count) {
  return matrix.narrow(0, first, count).to(at::kDouble);
}

}  // namespace

at::Tensor per_token(const SiteView& site, const at::Tensor& sums) {
  return divided(site, sums, site.stats.counts().tokens, "tokens");
}

at::Tensor per_target(const SiteView& site, const at::Tensor& sums) {
  return divided(site, sums, site.stats.counts().targets, "predicted tokens");
}

at::Tensor column_sums(int64_t rows, int64_t in,
                       const std::function<at::Tensor(int64_t first, int64_t count)>& part) {
  at::Tensor sums = at::zeros({in}, at::kDouble);
  const int64_t most = std::max<int64_t>(1, kPartElements / std::max<int64_t>(1, in));
  for (int64_t first = 0; first < rows; first += most)
    sums += part(first, std::min(most, rows - first)).sum(0);
  return sums;
}

at::Tensor squared_columns(const at::Tensor& values) {
  return column_sums(values.size(0), values.size(1), [&](int64_t first, int64_t count) {
    return rows_of(values, first, count).square();
  });
}

at::Tensor column_products(const at::Tensor& a, const at::Tensor& b) {
  return column_sums(a.size(0), a.size(1), [&](int64_t first, int64_t count) {
    return rows_of(a, first, count) * rows_of(b, first, count);
  });
}

at::Tensor diagonal_quadratic(const at::Tensor& diagonal, const at::Tensor& delta) {
  return column_sums(delta.size(0), delta.size(1), [&](int64_t first, int64_t count) {
    return rows_of(delta, first, count).square() * rows_of(diagonal, first, count);
  });
}

void require_shape(const SiteView& site, const at::Tensor& delta) {
  if (delta.sizes() != site.weight.sizes())
    throw std::logic_error(site.site.name + ": a change of another shape than the weight's");
}

}  // namespace ptq::estimator
