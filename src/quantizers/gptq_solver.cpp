#include "gptq_solver.h"

#include <algorithm>
#include <stdexcept>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "gptq_kernel.h"
#include "ptq/backends/device_columns.h"
#include "ptq/core/cpu.h"
#include "ptq/model/matmul.h"

namespace ptq::quantizer {
namespace {

/// Columns that are solved together, and the group that starts with them.
struct Step {
  int64_t first, count;
  int64_t opens_group = -1;  ///< refitted before this step
  int64_t group_length = 0;
};

/// Blocks of at most 128 columns; with refitting, none crosses a group's border.
std::vector<Step> plan_steps(int64_t in, int64_t group_length, bool refit) {
  std::vector<Step> steps;
  const int64_t span = refit ? group_length : in;
  for (int64_t start = 0; start < in; start += span) {
    const int64_t stop = std::min(start + span, in);
    for (int64_t first = start; first < stop; first += kernels::ColumnBlock::kMost) {
      Step step{first, std::min(kernels::ColumnBlock::kMost, stop - first)};
      if (refit && first == start) {
        step.opens_group = start / group_length;
        step.group_length = stop - start;
      }
      steps.push_back(step);
    }
  }
  return steps;
}

/// What the columns before `first` feed forward into the columns first … first+count−1.
at::Tensor fed_forward(const at::Tensor& miss, const at::Tensor& feedback, int64_t first,
                       int64_t count) {
  return matrix_product(miss.narrow(1, 0, first),
                        feedback.narrow(0, 0, first).narrow(1, first, count));
}

/// The weights of a group as best changed to make up for the columns before it, before any of the
/// group's own is rounded.
at::Tensor compensated(const at::Tensor& weight, const at::Tensor& miss, const at::Tensor& feedback,
                       int64_t first, int64_t count) {
  const at::Tensor group = weight.narrow(1, first, count);
  if (first == 0) return group;
  // Unrounded, a column that moves feeds its move forward too: (w − w̃) R_gg = −u.
  const at::Tensor corner = feedback.narrow(0, first, count).narrow(1, first, count);
  return group + at::linalg_solve_triangular(corner, fed_forward(miss, feedback, first, count),
                                             /*upper=*/true, /*left=*/false,
                                             /*unitriangular=*/true);
}

/// Rounds a block's columns where its tensors lie.
void round_block(const kernels::ColumnBlock& block, int64_t rows, at::Device device) {
  if (device.is_cpu()) {
    at::parallel_for(0, rows, 64, [&](int64_t begin, int64_t end) {
      run_on_cpu<kernels::RoundColumns>(block, begin, end);
    });
    return;
  }
  static_assert(kernels::ColumnBlock::kMost <= DeviceColumns::kMost, "one launch a block");
  // LibTorch works in the device's default stream, too, as long as nobody chooses another.
  round_columns_on_device(
      device.index(), nullptr,
      {block.weight, block.update, block.feedback, rows, block.in, block.first, block.count,
       block.order, block.group, block.pivot, block.added, block.scale, block.zero, block.groups,
       block.top, block.q, block.miss, block.error});
}

}  // namespace

Solution solve_columns(const at::Tensor& weight, const HessianFactor& factor, SolverGrids& grids,
                       const QuantScheme& scheme) {
  const int64_t out = weight.size(0), in = weight.size(1);
  if (!weight.is_contiguous() || !factor.feedback.is_contiguous())
    throw std::logic_error("solve_columns: weight and feedback must be contiguous");
  const at::TensorOptions options = weight.options();
  const at::Tensor group_of = grids.group_of.to(weight.device())
                                  .index_select(0, factor.order)
                                  .contiguous();  // in solving order
  const at::Tensor miss = at::empty({out, in}, options);
  const at::Tensor error = at::zeros({out}, options.dtype(at::kDouble));
  Solution solution{at::empty({out, in}, options.dtype(at::kByte)), 0};
  for (const Step& step : plan_steps(in, scheme.group_length(in), static_cast<bool>(grids.refit))) {
    if (step.opens_group >= 0)
      grids.refit(compensated(weight, miss, factor.feedback, step.first, step.group_length),
                  step.opens_group);
    const at::Tensor update =
        step.first > 0 ? fed_forward(miss, factor.feedback, step.first, step.count) : at::Tensor();
    // Where the grids lie already, unless that is another device.
    const at::Tensor scale = grids.scale.to(weight.device());
    const at::Tensor zero = grids.zero.to(weight.device());
    const kernels::ColumnBlock block{weight.data_ptr<float>(),
                                     update.defined() ? update.data_ptr<float>() : nullptr,
                                     factor.feedback.data_ptr<float>() + step.first * (in + 1),
                                     in,
                                     step.first,
                                     step.count,
                                     factor.order.data_ptr<int64_t>() + step.first,
                                     group_of.data_ptr<int32_t>() + step.first,
                                     factor.pivots.data_ptr<float>() + step.first,
                                     factor.added.data_ptr<float>() + step.first,
                                     scale.data_ptr<float>(),
                                     zero.data_ptr<uint8_t>(),
                                     scale.size(1),
                                     static_cast<float>((1 << scheme.bits) - 1),
                                     solution.q.data_ptr<uint8_t>(),
                                     miss.data_ptr<float>(),
                                     error.data_ptr<double>()};
    round_block(block, out, weight.device());
  }
  solution.q = solution.q.cpu();
  solution.error = std::max(0.0, error.sum().item<double>());
  return solution;
}

}  // namespace ptq::quantizer
