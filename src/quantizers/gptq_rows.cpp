#include "gptq_rows.h"

#include <algorithm>

#include <ATen/ATen.h>

#include "descent.h"
#include "gptq_solver.h"
#include "layer_objective.h"
#include "ptq/model/matmul.h"
#include "ptq/model/quadratic_form.h"
#include "ptq/quantizers/grid.h"
#include "scale_refit.h"

namespace ptq::quantizer {
namespace {

/// Grids that are fitted to each group's weights when its turn comes.
SolverGrids fitted_on_the_way(const RowProblem& problem, const GridFit& fit) {
  const int64_t in = problem.weight.size(1);
  SolverGrids grids;
  const std::vector<int64_t> shape{problem.weight.size(0), problem.scheme.groups(in)};
  const at::Tensor scale = grids.scale = at::ones(shape, at::kFloat);
  const at::Tensor zero = grids.zero = at::zeros(shape, at::kByte);
  const QuantScheme whole{problem.scheme.bits, -1, problem.scheme.symmetric};
  grids.refit = [scale, zero, fit, whole, length = problem.scheme.group_length(in),
                 dtype = problem.model_dtype](const at::Tensor& current, int64_t group) {
    GridFit group_fit = fit;
    if (fit.importance.defined())
      group_fit.importance = fit.importance.narrow(0, group * length, current.size(1));
    const Grids fitted = fit_grids(current.cpu(), whole, dtype, group_fit);
    scale.select(1, group).copy_(fitted.scale.squeeze(1));
    zero.select(1, group).copy_(fitted.zero.squeeze(1));
  };
  return grids;
}

SolverGrids grids_of(const RowProblem& problem, const GptqSettings& settings) {
  const GridFit fit{settings.search,
                    settings.importance ? problem.factor.diagonal.cpu() : at::Tensor()};
  SolverGrids grids;
  if (settings.hessian.order == ColumnOrder::kNone) {
    grids = fitted_on_the_way(problem, fit);
  } else {
    const Grids fitted = fit_grids(problem.weight.cpu(), problem.scheme, problem.model_dtype, fit);
    grids.scale = fitted.scale;
    grids.zero = fitted.zero;
  }
  grids.group_of = contiguous_groups(problem.scheme, problem.weight.size(1));
  return grids;
}

/// What follows the rounding.
void improve(const RowProblem& problem, const GptqSettings& settings, RoundedRows& rows) {
  const HessianFactor& factor = problem.factor;
  const LayerObjective objective{
      problem.weight, problem.gram,
      at::empty_like(factor.added).index_copy_(0, factor.order, factor.added)};
  const auto refit = [&] {
    if (settings.refit)
      rows.scales_refitted += refit_scales(objective, problem.model_dtype, rows.weight).changed;
  };
  refit();
  for (int64_t pass = 0; pass < settings.descent; ++pass) {
    rows.codes_changed += descend(objective, rows.weight).changed;
    refit();
  }
  rows.error = quadratic_form(rows.weight.dequantize().sub_(problem.weight), problem.gram);
}

/// Rounds the weight of `problem` column by column.
RoundedRows solve(const RowProblem& problem, const GptqSettings& settings) {
  SolverGrids grids = grids_of(problem, settings);
  const Solution solution = solve_columns(problem.weight, problem.factor, grids, problem.scheme);
  return {{solution.q, grids.scale, grids.zero, grids.group_of, problem.scheme}, solution.error};
}

/// Of every row of `weight`: the error that its place in the model feels, float32 [rows, 1].
at::Tensor row_errors(const QuantizedTensor& weight, const RowProblem& problem) {
  const at::Tensor miss = weight.dequantize().sub_(problem.weight);
  return matrix_product(miss, problem.gram).mul_(miss).sum(1, /*keepdim=*/true);
}

/// Solves the problem once more with smaller ranges and takes each row that this makes better.
void take_better_rows(const RowProblem& problem, const GptqSettings& settings, RoundedRows& rows) {
  const at::Tensor reduced =
      reduce_ranges(problem.weight, problem.gram, problem.scheme, settings.magr);
  const QuantizedTensor other =
      solve({reduced, problem.gram, problem.factor, problem.scheme, problem.model_dtype}, settings)
          .weight;
  QuantizedTensor& best = rows.weight;
  const at::Tensor better = row_errors(other, problem).lt(row_errors(best, problem));
  best.q = at::where(better, other.q, best.q);
  best.scale = at::where(better, other.scale, best.scale);
  best.zero = at::where(better, other.zero, best.zero);
  rows.rows_reduced = better.sum().item<int64_t>();
}

RoundedRows round_to_nearest_only(const RowProblem& problem, const GptqSettings& settings) {
  const at::Tensor weight = problem.weight.cpu();
  const Grids grids = fit_grids(weight, problem.scheme, problem.model_dtype, {settings.search, {}});
  const RoundedWeight rounded = round_to_nearest(weight, problem.scheme, grids);
  return {rounded.weight, rounded.squared_error, rounded.squared_weight};
}

}  // namespace

RoundedRows round_rows(const RowProblem& problem, const GptqSettings& settings) {
  if (!problem.factor.feedback.defined()) return round_to_nearest_only(problem, settings);
  RoundedRows rows = solve(problem, settings);
  rows.energy = quadratic_form(problem.weight, problem.gram);
  if (settings.magr.strength > 0) take_better_rows(problem, settings, rows);
  if (settings.improves()) improve(problem, settings, rows);
  return rows;
}

int64_t round_rows_bytes(int64_t out, int64_t in, const GptqSettings& settings) {
  const int64_t form = quadratic_form_bytes(out, in);
  int64_t bytes = std::max(out * in * 4, form);  // what every weight was rounded by
  // Two results; the second one's weight, and what both miss.
  if (settings.magr.strength > 0) bytes += reduce_ranges_bytes(out, in) + out * in * (4 * 3 + 1);
  if (settings.refit) bytes = std::max(bytes, refit_workspace_bytes(out, in));
  if (settings.descent > 0) bytes = std::max(bytes, descent_workspace_bytes(out, in));
  if (settings.improves()) bytes = std::max(bytes, out * in * 4 + form);
  return bytes;
}

}  // namespace ptq::quantizer
