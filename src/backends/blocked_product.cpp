#include "blocked_product.h"

#include <algorithm>

#include <ATen/ATen.h>

#include "kernels/table.h"
#include "ptq/core/parallel.h"
#include "ptq/core/scratch.h"

namespace ptq::backend {
namespace {

constexpr int64_t kPackedFloats = 4 << 20;  // packed x: stays in a shared cache
constexpr int64_t kPanelFloats = 96 << 10;  // dequantized weights of a task: stay in the L2 cache
constexpr int64_t kInnerRows = 96;          // their packed x stays there too

int64_t divide_up(int64_t value, int64_t by) {
  return (value + by - 1) / by;
}

/// x in panels of rows, one stretch of kDepth positions after the other.
class PackedRows {
 public:
  PackedRows(const at::Tensor& x, float* memory)
      : depth_(x.size(1)), padded_(round_up(x.size(0), kernel_table().rows)), memory_(memory) {
    const KernelTable& kernel = kernel_table();
    const float* from = x.data_ptr<float>();
    const int64_t stride = x.stride(0), rows = x.size(0);
    parallel_tasks(padded_ / kernel.rows, [&](int64_t i) {
      const int64_t row = i * kernel.rows;
      for (int64_t begin = 0; begin < depth_; begin += kDepth) {
        const int64_t depth = std::min(kDepth, depth_ - begin);
        kernel.pack_left(from + row * stride + begin, stride, std::min(kernel.rows, rows - row),
                         depth, memory_ + begin * padded_ + row * depth);
      }
    });
  }

  /// The rows from `row` on, a multiple of KernelTable::rows.
  const float* at(int64_t row, int64_t begin, int64_t depth) const {
    return memory_ + begin * padded_ + row * depth;
  }

 private:
  int64_t depth_, padded_;
  float* memory_;
};

/// The outputs and rows of one task.
struct Part {
  int64_t first, outputs, row, rows;
};

void multiply_part(const Part& part, const PackedRows& x, const PanelSource& weight,
                   int64_t positions, const at::Tensor& y) {
  const KernelTable& kernel = kernel_table();
  static thread_local Scratch scratch;
  const int64_t panels = divide_up(part.outputs, kernel.panel);
  const int64_t longest = std::min(kDepth, positions);
  float* packed = scratch.floats(panels * kernel.panel * longest);
  for (int64_t begin = 0; begin < positions; begin += kDepth) {
    kernels::Product product;
    product.packed_a = true;
    product.depth = product.a_stride = std::min(kDepth, positions - begin);
    product.b = packed;
    product.panel_stride = kernel.panel * product.depth;
    product.c_stride = y.stride(0);
    product.columns = part.outputs;
    product.add = begin > 0;
    for (int64_t i = 0; i < panels; ++i)
      weight.fill(part.first + i * kernel.panel, begin, product.depth,
                  packed + i * product.panel_stride);
    for (int64_t row = part.row; row < part.row + part.rows; row += kInnerRows) {
      product.a = x.at(row, begin, product.depth);
      product.c = y.data_ptr<float>() + row * y.stride(0) + part.first;
      product.rows = std::min(kInnerRows, part.row + part.rows - row);
      kernel.multiply(product);
    }
  }
}

void multiply_rows(const at::Tensor& x, const PanelSource& weight, const at::Tensor& y) {
  const KernelTable& kernel = kernel_table();
  static thread_local Scratch scratch;
  const int64_t rows = x.size(0), positions = x.size(1), outputs = y.size(1);
  const PackedRows packed(x, scratch.floats(round_up(rows, kernel.rows) * positions));
  const int64_t most = std::max(kPanelFloats / std::min(kDepth, positions), kernel.panel);
  const int64_t width = round_up(divide_up(outputs, divide_up(outputs, most)), kernel.panel);
  const int64_t across = divide_up(outputs, width);
  // Few outputs: threads share them by rows, each dequantizing for itself.
  const int64_t wanted = divide_up(2 * at::get_num_threads(), across);
  const int64_t height =
      round_up(divide_up(rows, std::min(wanted, divide_up(rows, kInnerRows))), kInnerRows);
  const int64_t down = divide_up(rows, height);
  parallel_tasks(across * down, [&](int64_t task) {
    const int64_t first = task % across * width, row = task / across * height;
    multiply_part({first, std::min(width, outputs - first), row, std::min(height, rows - row)},
                  packed, weight, positions, y);
  });
}

}  // namespace

void multiply_blocked(const at::Tensor& x, const PanelSource& weight, const at::Tensor& y) {
  const int64_t rows = x.size(0), positions = x.size(1);
  if (positions == 0) y.zero_();
  if (y.numel() == 0 || positions == 0) return;
  const int64_t panel_rows = kernel_table().rows;
  const int64_t most = std::max(kPackedFloats / positions / panel_rows, int64_t{1}) * panel_rows;
  for (int64_t row = 0; row < rows; row += most) {
    const int64_t count = std::min(most, rows - row);
    multiply_rows(x.narrow(0, row, count), weight, y.narrow(0, row, count));
  }
}

}  // namespace ptq::backend
