#pragma once
#include <ATen/ATen.h>

#include "../src/quantizers/layer_objective.h"
#include "ptq/quantizers/grid.h"
#include "site_fixture.h"

namespace ptq {

/// A weight rounded to nearest and the objective that the rounding left something to gain of.
struct RoundedCase {
  quantizer::LayerObjective objective;
  QuantizedTensor quantized;

  RoundedCase(int64_t out, int64_t in, const QuantScheme& scheme) {
    const at::Tensor x = correlated_inputs(1, 2 * in, in).reshape({-1, in});
    objective.weight = at::randn({out, in});
    objective.gram = x.t().mm(x);
    objective.gram = (objective.gram + objective.gram.t()) / 2;
    objective.added = at::full({in}, 0.01 * objective.gram.diagonal().mean().item<double>());
    const Grids grids = fit_grids(objective.weight, scheme, at::kFloat, {});
    quantized = round_to_nearest(objective.weight, scheme, grids).weight;
  }

  at::Tensor hessian() const {
    return objective.gram.to(at::kDouble) + at::diag(objective.added.to(at::kDouble));
  }
  at::Tensor miss() const {
    return quantized.dequantize().to(at::kDouble) - objective.weight.to(at::kDouble);
  }
  /// float64 [out]: the objective, row by row.
  at::Tensor errors() const { return (miss().mm(hessian()) * miss()).sum(1); }
};

/// What float32 may make of a row's error: a gradient is a sum of `in` products, each of a miss and
/// an element of H, and misses are themselves differences of rounded weights.
constexpr double kErrorRounding = 1e-4;

}  // namespace ptq
