#include <algorithm>
#include <stdexcept>

#include <ATen/ATen.h>

#include "kernels/dispatch.h"
#include "parallel.h"
#include "ptq/model/matmul.h"
#include "scratch.h"

namespace ptq {
namespace {

constexpr int64_t kDepth = 512;                        // tokens of a block
constexpr int64_t kPackedFloats = 4 << 20;             // of one side
constexpr int64_t kTaskColumns = 192, kTaskRows = 96;  // both sides of a task stay in L2

int64_t divide_up(int64_t value, int64_t by) {
  return (value + by - 1) / by;
}

int64_t round_down(int64_t value, int64_t to) {
  return std::max(value / to, int64_t{1}) * to;
}

/// One side's columns first … first + count − 1 of the tokens begin … begin + depth − 1.
struct Side {
  const at::Tensor& matrix;
  int64_t first, count;

  kernels::Columns<float> columns(int64_t begin, int64_t depth, int64_t from, int64_t most) const {
    return {matrix.data_ptr<float>() + begin * matrix.stride(0) + first + from, matrix.stride(0),
            std::min(most, count - from), depth, nullptr};
  }
};

/// What is multiplied at a time.
struct Block {
  Side left, right;
  float *left_panels, *right_panels;
  int64_t depth = 0;

  /// Packs both sides of the tokens from `begin` on, the left one multiplied by the weights.
  void pack(const float* weights, int64_t begin) const {
    const kernels::Table& kernel = kernels::table();
    const int64_t lefts = divide_up(left.count, kernel.rows);
    parallel_tasks(lefts + divide_up(right.count, kernel.panel), [&](int64_t i) {
      if (i < lefts) {
        const int64_t from = i * kernel.rows;
        kernels::Columns<float> columns = left.columns(begin, depth, from, kernel.rows);
        if (weights != nullptr) columns.weights = weights + begin;
        kernel.pack_left(columns, left_panels + from * depth);
      } else {
        const int64_t from = (i - lefts) * kernel.panel;
        kernel.pack_right(right.columns(begin, depth, from, kernel.panel),
                          right_panels + from * depth);
      }
    });
  }

  /// Adds the product of the packed sides to their part of the sum.
  void add_to(const at::Tensor& sum, Part part) const {
    const kernels::Table& kernel = kernels::table();
    const int64_t height = round_down(kTaskRows, kernel.rows);
    const int64_t width = round_down(kTaskColumns, kernel.panel);
    const int64_t across = divide_up(right.count, width);
    float* c = sum.data_ptr<float>() + left.first * sum.stride(0) + right.first;
    parallel_tasks(divide_up(left.count, height) * across, [&](int64_t task) {
      const int64_t row = task / across * height, column = task % across * width;
      kernels::Product product;
      product.a = left_panels + row * depth;
      product.a_stride = depth;
      product.packed_a = true;
      product.b = right_panels + column * depth;
      product.panel_stride = kernel.panel * depth;
      product.c = c + row * sum.stride(0) + column;
      product.c_stride = sum.stride(0);
      product.rows = std::min(height, left.count - row);
      product.columns = std::min(width, right.count - column);
      product.depth = depth;
      product.add = true;
      if (part == Part::kUpper) product.lead = left.first + row - right.first - column;
      kernel.multiply(product);
    });
  }
};

}  // namespace

void add_transposed_product(const at::Tensor& a, const at::Tensor& b, const at::Tensor& weights,
                            Part part, const at::Tensor& sum) {
  if (a.stride(1) != 1 || b.stride(1) != 1 || sum.stride(1) != 1)
    throw std::logic_error("add_transposed_product: rows must be contiguous");
  const kernels::Table& kernel = kernels::table();
  const int64_t tokens = a.size(0), m = a.size(1), n = b.size(1);
  const int64_t depth_most = std::min(tokens, kDepth);
  const int64_t most = round_down(kPackedFloats / kDepth, kernel.rows * kernel.panel);
  static thread_local Scratch left_scratch, right_scratch;
  float* left_panels =
      left_scratch.floats(divide_up(std::min(m, most), kernel.rows) * kernel.rows * depth_most);
  float* right_panels =
      right_scratch.floats(divide_up(std::min(n, most), kernel.panel) * kernel.panel * depth_most);
  const float* weight_data = weights.defined() ? weights.data_ptr<float>() : nullptr;
  for (int64_t column = 0; column < n; column += most) {
    for (int64_t row = 0; row < m; row += most) {
      if (part == Part::kUpper && row > column) break;
      Block block{{a, row, std::min(most, m - row)},
                  {b, column, std::min(most, n - column)},
                  left_panels,
                  right_panels};
      for (int64_t begin = 0; begin < tokens; begin += kDepth) {
        block.depth = std::min(kDepth, tokens - begin);
        block.pack(weight_data, begin);
        block.add_to(sum, part);
      }
    }
  }
}

}  // namespace ptq
