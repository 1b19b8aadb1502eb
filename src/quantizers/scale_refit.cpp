#include "scale_refit.h"

#include <ATen/ATen.h>

#include "ptq/model/matmul.h"

namespace ptq::quantizer {
namespace {

/// Σ_j a_j b_j of each row, float64 [rows].
at::Tensor row_products(const at::Tensor& a, const at::Tensor& b) {
  return (a * b).sum({1}, /*keepdim=*/false, at::kDouble);
}

/// The scale as files hold it, or `old` where that is not a number they can hold.
at::Tensor next_scale(const at::Tensor& wanted, const at::Tensor& old, at::ScalarType model_dtype) {
  constexpr double kLargest = 65504;  // of float16
  const at::Tensor usable = wanted.abs().le(kLargest).logical_and_(wanted.ne(0));
  return storable_scale(at::where(usable, wanted, old).to(at::kFloat), model_dtype);
}

}  // namespace

Improvement refit_scales(const LayerObjective& objective, at::ScalarType model_dtype,
                         QuantizedTensor& quantized) {
  // Of a product of `in` terms in float32, summed in blocks: what a fall must exceed to be one.
  constexpr double kCertain = 1e-5;
  const int64_t in = quantized.in_features(), length = quantized.scheme.group_length(in);
  at::Tensor miss = quantized.dequantize().sub_(objective.weight);
  Improvement improvement;
  for (int64_t group = 0; group < quantized.scheme.groups(in); ++group) {
    const int64_t first = group * length, count = std::min(length, in - first);
    at::Tensor scale = quantized.scale.select(1, group);
    const at::Tensor codes = quantized.q.narrow(1, first, count).to(at::kFloat) -
                             quantized.zero.select(1, group).to(at::kFloat).unsqueeze(1);
    const at::Tensor slope = row_products(codes, half_gradient(objective, miss, first, count));
    const at::Tensor curvature =
        row_products(codes, matrix_product(codes, corner_of(objective, first, count)));
    const at::Tensor old = scale.to(at::kDouble);
    const at::Tensor next = next_scale(old - slope / curvature, old, model_dtype).to(at::kDouble);
    const at::Tensor step = next - old;
    const at::Tensor change = step * (2 * slope + step * curvature);
    const at::Tensor better = change.lt(-kCertain * (step * slope).abs());
    scale.copy_(at::where(better, next, old));
    miss.narrow(1, first, count)
        .addcmul_(codes, at::where(better, step, at::zeros_like(step)).to(at::kFloat).unsqueeze(1));
    improvement.fall -= change.masked_select(better).sum().item<double>();
    improvement.changed += better.sum().item<int64_t>();
  }
  return improvement;
}

int64_t refit_workspace_bytes(int64_t out, int64_t in) {
  // For a group as wide as the row: the misses, its codes, their product with H, the two
  // multiplied, and that in float64 for its sum; the corner of H.
  return out * in * (4 * 4 + 8) + in * in * 4;
}

}  // namespace ptq::quantizer
