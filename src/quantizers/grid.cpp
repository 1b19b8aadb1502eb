#include "ptq/quantizers/grid.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "grid_search.h"
#include "ptq/core/cpu.h"
#include "ptq/core/error.h"

namespace ptq {
namespace {

namespace kernels = quantizer::kernels;

constexpr float kSmallestShrink = 0.4F;
constexpr int kShrinkSteps = 64;

void add_shrinks(kernels::GridCandidates& candidates, float from, float to, float zero_offset) {
  const int first = candidates.count;
  for (int i = 0; i < kShrinkSteps; ++i) {
    candidates.shrink[first + i] = from + (to - from) * static_cast<float>(i) / (kShrinkSteps - 1);
    candidates.zero_offset[first + i] = zero_offset;
  }
  candidates.count = first + kShrinkSteps;
}

kernels::GridCandidates candidates_of(const QuantScheme& scheme, bool search) {
  kernels::GridCandidates candidates;
  candidates.count = 1;
  candidates.shrink[0] = 1.0F;
  candidates.zero_offset[0] = 0.0F;
  if (!search) return candidates;
  candidates.count = 0;
  add_shrinks(candidates, 1.0F, kSmallestShrink, 0.0F);
  if (scheme.symmetric) {
    // With the other sign the extreme value has one step less, so the full range starts wider.
    const float half = static_cast<float>(1 << (scheme.bits - 1));
    add_shrinks(candidates, -half / (half - 1.0F), -kSmallestShrink, 0.0F);
  } else {
    add_shrinks(candidates, 1.0F, kSmallestShrink, -1.0F);
    add_shrinks(candidates, 1.0F, kSmallestShrink, 1.0F);
  }
  return candidates;
}

/// Rounds rows to the nearest points of their grids.
struct RoundTask {
  const float* weight;
  int64_t row_stride;
  int64_t columns, group_length;
  float top;  ///< the highest code
  const float* scale;
  const uint8_t* zero;
  uint8_t* q;
  double* sums;  ///< [rows, 2]: squared error, squared weight
};

struct RoundRows {
  template <int W>
  [[gnu::always_inline]] static void run(const RoundTask& task, int64_t begin, int64_t end) {
    const int64_t groups = (task.columns + task.group_length - 1) / task.group_length;
    for (int64_t row = begin; row < end; ++row) {
      Sums sums{0, 0};
      for (int64_t g = 0; g < groups; ++g) {
        const int64_t first = g * task.group_length;
        const int64_t n = std::min(task.group_length, task.columns - first);
        const float scale = task.scale[row * groups + g];
        const float zero = task.zero[row * groups + g];
        round_group<W>(task.weight + row * task.row_stride + first, n, {scale, zero, task.top},
                       task.q + row * task.columns + first, sums);
      }
      task.sums[2 * row] = sums.error;
      task.sums[2 * row + 1] = sums.weight;
    }
  }

 private:
  struct Grid {
    float scale, zero, top;
  };
  struct Sums {
    double error, weight;
  };

  template <int W>
  [[gnu::always_inline]] static void round_group(const float* x, int64_t n, const Grid& grid,
                                                 uint8_t* q, Sums& sums) {
    using V = kernels::Vector<W>;
    const V scale = grid.scale - V{}, inverse = 1.0F / grid.scale - V{};
    const V zero = grid.zero - V{}, low = -zero, high = grid.top - zero;
    V errors = {}, weights = {};
    for (int64_t j = 0; j < n; j += W) {
      const int count = static_cast<int>(std::min<int64_t>(W, n - j));
      V value = {}, steps;
      if (count == W) {
        kernels::load(value, x + j);
      } else {
        float tail[W] = {};
        std::copy(x + j, x + n, tail);
        kernels::load(value, tail);
      }
      kernels::round_to_grid(steps, value, inverse, low, high);
      const V miss = steps * scale - value;
      errors += miss * miss;
      weights += value * value;
      float codes[W];
      kernels::store(codes, V(steps + zero));
      if (count == W) {
        for (int k = 0; k < W; ++k)
          q[j + k] = static_cast<uint8_t>(static_cast<int>(codes[k]));
      } else {
        for (int k = 0; k < count; ++k)
          q[j + k] = static_cast<uint8_t>(static_cast<int>(codes[k]));
      }
    }
    for (int k = 0; k < W; ++k) {
      sums.error += static_cast<double>(errors[k]);
      sums.weight += static_cast<double>(weights[k]);
    }
  }
};

/// Rows a thread takes at least, so that small weights stay on one.
int64_t row_grain(int64_t columns) {
  return 1 + (1 << 14) / (columns + 1);
}

}  // namespace

Grids fit_grids(const at::Tensor& weight, const QuantScheme& scheme, at::ScalarType model_dtype,
                const GridFit& fit) {
  if (weight.scalar_type() != at::kFloat || weight.dim() != 2 || weight.stride(1) != 1)
    throw std::logic_error("fit_grids: weight must be float32 [out, in] with contiguous columns");
  const int64_t out = weight.size(0), in = weight.size(1), groups = scheme.groups(in);
  Grids grids{at::empty({out, groups}, at::kFloat), at::empty({out, groups}, at::kByte)};
  const at::Tensor importance =
      fit.importance.defined() ? fit.importance.to(at::kFloat).contiguous() : at::Tensor();
  const kernels::GridTask task{weight.data_ptr<float>(),
                               weight.stride(0),
                               in,
                               scheme.group_length(in),
                               importance.defined() ? importance.data_ptr<float>() : nullptr,
                               scheme.bits,
                               scheme.symmetric,
                               model_dtype == at::kBFloat16,
                               candidates_of(scheme, fit.search),
                               grids.scale.data_ptr<float>(),
                               grids.zero.data_ptr<uint8_t>()};
  at::parallel_for(0, out, row_grain(in), [&](int64_t begin, int64_t end) {
    run_on_cpu<kernels::FitGrids>(task, begin, end);
  });
  if (grids.scale.isnan().any().item<bool>())
    throw NumericalError("a weight is NaN or infinite",
                         "the checkpoint is damaged: check its source");
  grids.scale = storable_scale(grids.scale, model_dtype);  // unchanged; refuses what overflows
  return grids;
}

RoundedWeight round_to_nearest(const at::Tensor& weight, const QuantScheme& scheme,
                               const Grids& grids) {
  const int64_t out = weight.size(0), in = weight.size(1);
  RoundedWeight rounded{{at::empty({out, in}, at::kByte), grids.scale, grids.zero,
                         contiguous_groups(scheme, in), scheme},
                        0,
                        0};
  const at::Tensor sums = at::empty({out, 2}, at::kDouble);
  const RoundTask task{weight.data_ptr<float>(),
                       weight.stride(0),
                       in,
                       scheme.group_length(in),
                       static_cast<float>((1 << scheme.bits) - 1),
                       grids.scale.data_ptr<float>(),
                       grids.zero.data_ptr<uint8_t>(),
                       rounded.weight.q.data_ptr<uint8_t>(),
                       sums.data_ptr<double>()};
  at::parallel_for(0, out, row_grain(in),
                   [&](int64_t begin, int64_t end) { run_on_cpu<RoundRows>(task, begin, end); });
  const at::Tensor total = sums.sum(0);
  rounded.squared_error = total[0].item<double>();
  rounded.squared_weight = total[1].item<double>();
  return rounded;
}

}  // namespace ptq
