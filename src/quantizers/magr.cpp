#include "magr.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "ptq/model/matmul.h"

namespace ptq::quantizer {
namespace {

/// ‖v‖ of float32 [1, n], summed in one order whatever the number of threads: codes depend on it.
double norm_in_order(const at::Tensor& v) {
  const float* value = v.data_ptr<float>();
  double sum = 0;
  for (int64_t i = 0; i < v.numel(); ++i)
    sum += static_cast<double>(value[i]) * value[i];
  return std::sqrt(sum);
}

/// An upper bound of λ_max(H) that is close: the largest of ‖Hv‖ / ‖v‖ over a power iteration, and
/// a margin for what it has not reached.
double largest_eigenvalue(const at::Tensor& gram) {
  constexpr int kIterations = 30;
  constexpr double kMargin = 1.05;
  at::Tensor v = gram.diagonal().sqrt().unsqueeze(0).contiguous();
  double value = 0, norm = norm_in_order(v);
  for (int i = 0; i < kIterations; ++i) {
    if (!(norm > 0) || !std::isfinite(norm)) return 0;
    v = matrix_product(v / norm, gram);
    norm = norm_in_order(v);
    value = std::max(value, norm);
  }
  return std::isfinite(value) ? kMargin * value : 0;
}

/// The level above which `values` exceed by `mass` in sum; 0 if there is not so much.
float level_above(std::vector<float>& values, float mass) {
  std::sort(values.begin(), values.end(), std::greater<>());
  double sum = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    sum += values[i];
    const double level = (sum - mass) / static_cast<double>(i + 1);
    const double next = i + 1 < values.size() ? values[i + 1] : 0.0;
    if (level >= next) return static_cast<float>(level);
  }
  return 0;
}

/// The proximal map of α·max |w|: cuts the largest magnitudes to the level above which they exceed
/// by α in sum (Moreau's decomposition: w less its projection on the ℓ1 ball of radius α).
void cut(float* w, int64_t count, float alpha, std::vector<float>& magnitudes) {
  magnitudes.assign(static_cast<size_t>(count), 0);
  for (int64_t i = 0; i < count; ++i)
    magnitudes[static_cast<size_t>(i)] = std::abs(w[i]);
  const float level = level_above(magnitudes, alpha);
  for (int64_t i = 0; i < count; ++i)
    w[i] = std::clamp(w[i], -level, level);
}

/// For each group of each row of `pull` [out, groups], its α.
void cut_groups(const at::Tensor& weight, const at::Tensor& pull, int64_t length) {
  const int64_t in = weight.size(1), groups = pull.size(1);
  at::parallel_for(0, weight.size(0), 1 + (1 << 14) / (in + 1), [&](int64_t begin, int64_t end) {
    std::vector<float> magnitudes;
    for (int64_t row = begin; row < end; ++row)
      for (int64_t g = 0; g < groups; ++g)
        cut(weight.data_ptr<float>() + row * in + g * length, std::min(length, in - g * length),
            pull.data_ptr<float>()[row * groups + g], magnitudes);
  });
}

}  // namespace

at::Tensor reduce_ranges(const at::Tensor& weight, const at::Tensor& gram,
                         const QuantScheme& scheme, const MagrSettings& settings) {
  const double largest = largest_eigenvalue(gram);
  if (settings.strength == 0 || !(largest > 0)) return weight;
  const int64_t in = weight.size(1), length = scheme.group_length(in);
  const at::Tensor pull =
      weight.abs().view({weight.size(0), in / length, length}).amax(2).mul_(settings.strength);
  at::Tensor reduced = weight.clone();
  for (int64_t i = 0; i < settings.iterations; ++i) {
    reduced.sub_(matrix_product(reduced - weight, gram), 1 / largest);
    cut_groups(reduced, pull, length);
  }
  return reduced;
}

int64_t reduce_ranges_bytes(int64_t out, int64_t in) {
  return out * in * 4 * 3;
}

}  // namespace ptq::quantizer
