#include "precorrection.h"

#include <cmath>

#include <ATen/ATen.h>

#include "ptq/model/matmul.h"

namespace ptq::quantizer {
namespace {

double norm_of(const at::Tensor& matrix) {
  return std::sqrt(matrix.square().sum(at::kDouble).item<double>());
}

/// A (H + λI)⁻¹ by the factor H + λI = R D Rᵀ, columns in the weight's own order.
at::Tensor solved(const at::Tensor& a, const HessianFactor& factor) {
  at::Tensor left = a.index_select(1, factor.order);
  left = at::linalg_solve_triangular(factor.feedback.t(), left, /*upper=*/false, /*left=*/false,
                                     /*unitriangular=*/true);
  left.div_(factor.pivots);
  left = at::linalg_solve_triangular(factor.feedback, left, /*upper=*/true, /*left=*/false,
                                     /*unitriangular=*/true);
  at::Tensor result = at::empty_like(a);
  return result.index_copy_(1, factor.order, left);
}

}  // namespace

Corrected precorrect(const at::Tensor& weight, const at::Tensor& cross, const HessianFactor& factor,
                     double most_drift) {
  Corrected corrected;
  at::Tensor move = solved(matrix_product(weight, cross), factor);
  const double size = norm_of(weight);
  corrected.drift = size > 0 ? norm_of(move) / size : 0;
  if (!std::isfinite(corrected.drift)) return {weight, 0, 0, false};
  for (; corrected.drift > most_drift && corrected.halvings < 64; ++corrected.halvings) {
    move.mul_(0.5);
    corrected.drift *= 0.5;
  }
  corrected.weight = move.add_(weight);
  return corrected;
}

int64_t precorrect_bytes(int64_t out, int64_t in) {
  // Four of the weight's size at a time, by the copies that the solver's library makes; a
  // transposed copy of the factor.
  return out * in * 4 * 4 + in * in * 4;
}

}  // namespace ptq::quantizer
