#pragma once
#include <functional>

#include <ATen/core/Tensor.h>

#include "ptq/calib/statistic.h"

namespace ptq::estimator {

// A raw score is a mean over the N tokens of the calibration data, a prediction one over its
// targets, the tokens that the loss predicts.  The gradients in the statistics are those of a
// sequence's SUMMED loss.  Of its mean over L targets, as training code has it, the gradient is L
// times smaller and its square L² times, while the Hessian is only L times smaller: whoever takes
// the one for the other predicts a change L times too small (L ~ 2000: three orders of magnitude).

/// `sums` divided by the number of tokens.  Throws std::logic_error if there are none.
at::Tensor per_token(const SiteView& site, const at::Tensor& sums);
/// `sums` divided by the number of predicted tokens.  Throws std::logic_error if there are none.
at::Tensor per_target(const SiteView& site, const at::Tensor& sums);

/// float64 [in]: the column sums of a matrix [rows, in] that is never held whole, `part(first,
/// count)` being some of its rows, float64 [count, in].
at::Tensor column_sums(int64_t rows, int64_t in,
                       const std::function<at::Tensor(int64_t first, int64_t count)>& part);

/// float64 [in]: Σ_o values_oj² of a matrix [out, in].
at::Tensor squared_columns(const at::Tensor& values);
/// float64 [in]: Σ_o a_oj · b_oj of two matrices [out, in].
at::Tensor column_products(const at::Tensor& a, const at::Tensor& b);
/// float64 [in]: Σ_o diagonal_oj · delta_oj² of two matrices [out, in].
at::Tensor diagonal_quadratic(const at::Tensor& diagonal, const at::Tensor& delta);

/// Throws std::logic_error unless `delta` is shaped as the site's weight.
void require_shape(const SiteView& site, const at::Tensor& delta);

}  // namespace ptq::estimator
