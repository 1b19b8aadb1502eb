#include "group_clip.h"

#include <ATen/ATen.h>

#include "ptq/model/matmul.h"

namespace ptq::quantizer {
namespace {

constexpr int kCuts = 10;
constexpr double kCutStep = 0.05;

/// float32 [out, groups]: δᵀ H_gg δ of plain rounding.
at::Tensor group_errors(const at::Tensor& weight, const QuantScheme& scheme, const Grids& grids,
                        const at::Tensor& gram) {
  const int64_t in = weight.size(1), length = scheme.group_length(in);
  const at::Tensor miss = round_to_nearest(weight, scheme, grids).weight.dequantize().sub_(weight);
  at::Tensor errors = at::empty_like(grids.scale);
  for (int64_t g = 0; g < errors.size(1); ++g) {
    const at::Tensor part = miss.narrow(1, g * length, length);
    const at::Tensor corner = gram.narrow(0, g * length, length).narrow(1, g * length, length);
    errors.select(1, g).copy_(matrix_product(part, corner).mul_(part).sum(1));
  }
  return errors;
}

/// `weight` with every group cut to `part` of its largest magnitude.
at::Tensor cut(const at::Tensor& weight, const QuantScheme& scheme, double part) {
  const int64_t out = weight.size(0), in = weight.size(1), length = scheme.group_length(in);
  const at::Tensor groups = weight.view({out, in / length, length});
  const at::Tensor limit = groups.abs().amax(-1, true).mul_(part);
  return at::min(at::max(groups, -limit), limit).view({out, in});
}

}  // namespace

Grids fit_group_grids(const at::Tensor& weight, const QuantScheme& scheme,
                      at::ScalarType model_dtype, const at::Tensor& gram) {
  Grids best = fit_grids(weight, scheme, model_dtype, {true, gram.diagonal()});
  at::Tensor least = group_errors(weight, scheme, best, gram);
  for (int i = 0; i < kCuts; ++i) {
    const at::Tensor kept = i == 0 ? weight : cut(weight, scheme, 1 - i * kCutStep);
    const Grids tried = fit_grids(kept, scheme, model_dtype, {});
    const at::Tensor errors = group_errors(weight, scheme, tried, gram);
    const at::Tensor better = errors.lt(least);
    best.scale = at::where(better, tried.scale, best.scale);
    best.zero = at::where(better, tried.zero, best.zero);
    least = at::where(better, errors, least);
  }
  return best;
}

}  // namespace ptq::quantizer
