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

/// The rows of x where they lie, or in panels, one stretch of kDepth positions after the other.
class LeftRows {
 public:
  LeftRows(const at::Tensor& x, Scratch& scratch)
      : rows_(x.data_ptr<float>()),
        stride_(x.stride(0)),
        padded_(round_up(x.size(0), kernel_table().rows)) {
    // Rows a page apart meet in the same few sets of the L1 cache: those are worth a copy.
    constexpr int64_t kPageFloats = 1024;
    if (stride_ % kPageFloats == 0) pack(x, scratch.floats(padded_ * x.size(1)));
  }

  /// Makes the rows from `row` on, a multiple of KernelTable::rows, the left side of `product`,
  /// whose depth is set: its positions from `begin` on.
  void put(int64_t row, int64_t begin, kernels::Product& product) const {
    product.packed_a = panels_ != nullptr;
    product.a_stride = product.packed_a ? product.depth : stride_;
    product.a = product.packed_a ? panels_ + begin * padded_ + row * product.depth
                                 : rows_ + row * stride_ + begin;
  }

 private:
  void pack(const at::Tensor& x, float* memory) {
    const KernelTable& kernel = kernel_table();
    const int64_t rows = x.size(0), positions = x.size(1);
    parallel_tasks(padded_ / kernel.rows, [&](int64_t i) {
      const int64_t row = i * kernel.rows;
      for (int64_t begin = 0; begin < positions; begin += kDepth) {
        const int64_t depth = std::min(kDepth, positions - begin);
        kernel.pack_left(rows_ + row * stride_ + begin, stride_, std::min(kernel.rows, rows - row),
                         depth, memory + begin * padded_ + row * depth);
      }
    });
    panels_ = memory;
  }

  const float* rows_;
  int64_t stride_, padded_;
  const float* panels_ = nullptr;
};

/// The outputs and rows of one task.
struct Part {
  int64_t first, outputs, row, rows;
};

void multiply_part(const Part& part, const LeftRows& x, const PanelSource& weight,
                   int64_t positions, const at::Tensor& y) {
  const KernelTable& kernel = kernel_table();
  static thread_local Scratch scratch;
  const int64_t panels = divide_up(part.outputs, kernel.panel);
  const int64_t longest = std::min(kDepth, positions);
  float* packed = scratch.floats(panels * kernel.panel * longest);
  for (int64_t begin = 0; begin < positions; begin += kDepth) {
    kernels::Product product;
    product.depth = std::min(kDepth, positions - begin);
    product.b = packed;
    product.panel_stride = kernel.panel * product.depth;
    product.c_stride = y.stride(0);
    product.columns = part.outputs;
    product.add = begin > 0;
    for (int64_t i = 0; i < panels; ++i)
      weight.fill(part.first + i * kernel.panel, begin, product.depth,
                  packed + i * product.panel_stride);
    for (int64_t row = part.row; row < part.row + part.rows; row += kInnerRows) {
      x.put(row, begin, product);
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
  const LeftRows left(x, scratch);
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
                  left, weight, positions, y);
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
