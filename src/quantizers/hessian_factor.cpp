#include "hessian_factor.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <sstream>
#include <tuple>
#include <utility>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "cholesky.h"

namespace ptq::quantizer {
namespace {

std::string number(double value, int digits = 3) {
  std::ostringstream text;
  text.precision(digits);
  text << value;
  return text.str();
}

/// The matrix with rows and columns reordered.
at::Tensor reordered(const at::Tensor& matrix, const at::Tensor& order) {
  if (!matrix.is_cpu()) return matrix.index_select(0, order).index_select(1, order);
  const int64_t n = matrix.size(0);
  const at::Tensor source = matrix.contiguous();
  at::Tensor result = at::empty({n, n}, at::kFloat);
  const float* from = source.data_ptr<float>();
  const int64_t* index = order.data_ptr<int64_t>();
  float* to = result.data_ptr<float>();
  at::parallel_for(0, n, 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const float* row = from + index[i] * n;
      for (int64_t j = 0; j < n; ++j)
        to[i * n + j] = row[index[j]];
    }
  });
  return result;
}

/// R (not yet with a unit diagonal) of `matrix` = R Rᵀ, the matrix given in reverse solving order;
/// nothing if the matrix is not positive definite in this precision.  Destroys the matrix.
std::optional<at::Tensor> reverse_cholesky(at::Tensor matrix) {
  at::Tensor upper = matrix;
  if (matrix.scalar_type() == at::kFloat && matrix.is_cpu()) {
    if (!cholesky_upper(matrix)) return std::nullopt;
  } else {
    at::Tensor info;
    std::tie(upper, info) = at::linalg_cholesky_ex(matrix, /*upper=*/true);
    if (info.item<int>() != 0) return std::nullopt;
  }
  matrix = at::Tensor();  // of float64 it is a second one, as large as the factor
  // Row-major L of the reversed matrix, read backwards, is R of the matrix itself.
  at::Tensor factor = upper.triu_().t().contiguous();
  const auto reverse = [](auto* data, int64_t count) { std::reverse(data, data + count); };
  if (!factor.is_cpu())
    factor = factor.flip({0, 1});
  else if (factor.scalar_type() == at::kDouble)
    reverse(factor.data_ptr<double>(), factor.numel());
  else
    reverse(factor.data_ptr<float>(), factor.numel());
  const double smallest = factor.diagonal().min().item<double>();
  if (!(smallest > 0) || !std::isfinite(factor.sum().item<double>())) return std::nullopt;
  return factor;
}

/// Factors the Gram matrix, given in reverse solving order, with `added` on its diagonal; false if
/// that is not positive definite, or not for certain in this precision.
bool factor_once(const at::Tensor& reversed_gram, const at::Tensor& added, at::ScalarType type,
                 HessianFactor& result) {
  result.feedback = at::Tensor();  // of a try before this one
  at::Tensor matrix = reversed_gram.to(type, /*non_blocking=*/false, /*copy=*/true);
  matrix.diagonal().add_(added.flip(0));
  const at::Tensor whole = matrix.diagonal().flip(0).clone();
  const std::optional<at::Tensor> factor = reverse_cholesky(std::move(matrix));
  if (!factor) return false;
  const at::Tensor diagonal = factor->diagonal().clone();
  const at::Tensor pivots = diagonal.square();
  // A pivot is what is left of a diagonal element after up to n subtractions, each rounded.
  const double rounding =
      static_cast<double>(whole.size(0)) * (type == at::kFloat ? 0x1p-24 : 0x1p-53);
  if (!((pivots / whole).min().item<double>() > rounding)) return false;
  result.feedback = factor->div_(diagonal).to(at::kFloat);
  result.pivots = pivots.to(at::kFloat);
  result.float64 = type == at::kDouble;
  return result.pivots.min().item<float>() > 0 &&
         std::isfinite(result.feedback.sum().item<double>());
}

at::Tensor falling(const at::Tensor& values) {
  return std::get<1>(values.sort(/*stable=*/true, -1, /*descending=*/true));
}

/// int64 [in]: the column that is solved j-th.
at::Tensor solving_order(const at::Tensor& diagonal, const HessianSettings& settings) {
  const int64_t n = diagonal.size(0);
  if (settings.order == ColumnOrder::kNone)
    return at::arange(n, diagonal.options().dtype(at::kLong));
  if (settings.order == ColumnOrder::kActivation) return falling(diagonal).contiguous();
  const at::Tensor groups = diagonal.reshape({-1, settings.group_length});
  const at::Tensor starts =
      at::arange(groups.size(0), diagonal.options().dtype(at::kLong)) * settings.group_length;
  const at::Tensor columns = falling(groups) + starts.unsqueeze(1);
  return columns.index_select(0, falling(std::get<0>(groups.max(1)))).reshape({-1}).contiguous();
}

double damping_unit(const at::Tensor& diagonal, DampingScale scale) {
  if (scale == DampingScale::kMean) return diagonal.mean().item<double>();
  const at::Tensor alive = diagonal.masked_select(diagonal.gt(0));
  return alive.numel() == 0 ? 0 : alive.median().item<double>();
}

}  // namespace

std::string HessianSettings::key() const {
  std::string name = "hessian activation";
  if (order == ColumnOrder::kNone) name = "hessian none";
  if (order == ColumnOrder::kGroupAware) name = "hessian groups of " + std::to_string(group_length);
  return name + (damping_scale == DampingScale::kMean ? " mean " : " median ") +
         number(damping, 17);
}

int64_t factor_workspace_bytes(int64_t in) {
  // The reordered Gram matrix in float32; in float64 the matrix and its factor.
  return in * in * (4 + 2 * 8);
}

HessianFactor factor_hessian(const at::Tensor& gram, const HessianSettings& settings) {
  const int64_t n = gram.size(0);
  const at::Tensor diagonal = gram.diagonal().to(at::kDouble);
  HessianFactor result;
  result.order = solving_order(diagonal, settings);
  result.diagonal = diagonal.to(at::kFloat);
  if (!std::isfinite(gram.sum().item<double>()) || diagonal.min().item<double>() < 0) {
    result.fallbacks.push_back(
        "rounded to nearest instead of GPTQ: the Gram matrix holds NaN, infinity or a negative "
        "diagonal");
    return result;
  }
  result.dead = diagonal.eq(0).sum().item<int64_t>();
  if (result.dead == n) {
    result.fallbacks.push_back(
        "rounded to nearest instead of GPTQ: all calibration inputs are zero");
    return result;
  }
  const at::Tensor reversed = reordered(gram, result.order.flip(0).contiguous());
  const double unit = damping_unit(diagonal, settings.damping_scale);
  const double most = std::max(diagonal.max().item<double>(), unit * settings.damping);
  const at::Tensor dead = result.diagonal.index_select(0, result.order).eq(0);
  for (double damping = settings.damping * unit;;) {
    // A dead column is coupled with no other: any positive value makes it round to nearest.
    result.added = at::full({n}, damping, result.diagonal.options())
                       .masked_fill(dead, damping > 0 ? damping : unit);
    if (factor_once(reversed, result.added, at::kFloat, result) ||
        factor_once(reversed, result.added, at::kDouble, result)) {
      result.diagonal.add_(damping);
      result.damping = damping;
      return result;
    }
    const double next = damping > 0 ? damping * 10 : unit * 1e-6;
    if (next > most) break;
    result.fallbacks.push_back("damping raised from " + number(damping / unit) + " to " +
                               number(next / unit) + ": the Hessian is not positive definite");
    damping = next;
  }
  result.feedback = at::Tensor();
  result.fallbacks.push_back(
      "rounded to nearest instead of GPTQ: the Hessian is not positive definite at any damping");
  return result;
}

}  // namespace ptq::quantizer
