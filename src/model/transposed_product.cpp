#include <algorithm>
#include <initializer_list>
#include <stdexcept>
#include <vector>

#include <ATen/ATen.h>

#include "kernels/dispatch.h"
#include "ptq/core/parallel.h"
#include "ptq/core/scratch.h"
#include "ptq/model/matmul.h"

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

void require_rows(std::initializer_list<at::Tensor> matrices) {
  for (const at::Tensor& matrix : matrices)
    if (matrix.dim() != 2 || matrix.scalar_type() != at::kFloat ||
        (matrix.stride(1) != 1 && matrix.size(1) > 1))
      throw std::logic_error("a transposed product takes float32 matrices of contiguous rows");
}

/// How a product of `rows` by `columns` is cut.
struct Tasks {
  Tasks(int64_t rows, int64_t columns)
      : height(round_down(kTaskRows, kernels::table().rows)),
        width(round_down(kTaskColumns, kernels::table().panel)),
        across(divide_up(columns, width)),
        down(divide_up(rows, height)) {}
  int64_t count() const { return across * down; }
  int64_t row(int64_t task) const { return task / across * height; }
  int64_t column(int64_t task) const { return task % across * width; }
  int64_t height, width, across, down;
};

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

  /// The product of so many packed rows from `row` on with so many columns from `column` on, each
  /// a multiple of the kernel's tile.
  kernels::Product product(int64_t row, int64_t height, int64_t column, int64_t width) const {
    kernels::Product product;
    product.a = left_panels + row * depth;
    product.a_stride = depth;
    product.packed_a = true;
    product.b = right_panels + column * depth;
    product.panel_stride = kernels::table().panel * depth;
    product.rows = std::min(height, left.count - row);
    product.columns = std::min(width, right.count - column);
    product.depth = depth;
    return product;
  }

  /// Adds the product of the packed sides to their part of the sum.
  void add_to(const at::Tensor& sum, Part part) const {
    const Tasks tasks(left.count, right.count);
    float* c = sum.data_ptr<float>() + left.first * sum.stride(0) + right.first;
    parallel_tasks(tasks.count(), [&](int64_t task) {
      const int64_t row = tasks.row(task), column = tasks.column(task);
      kernels::Product part_product = product(row, tasks.height, column, tasks.width);
      part_product.c = c + row * sum.stride(0) + column;
      part_product.c_stride = sum.stride(0);
      part_product.add = true;
      if (part == Part::kUpper) part_product.lead = left.first + row - right.first - column;
      kernels::table().multiply(part_product);
    });
  }
};

/// A finished part of AᵀB: float32 [rows, columns] from (row, column) on, `stride` apart.
struct Tile {
  const float* values;
  int64_t stride, row, rows, column, columns;
};

/// Calls take(tile) for parts that together are AᵀB, on all threads, each while it is in a cache.
template <class Take>
void for_each_tile(const at::Tensor& a, const at::Tensor& b, const Take& take) {
  require_rows({a, b});
  const kernels::Table& kernel = kernels::table();
  const int64_t tokens = a.size(0), m = a.size(1), n = b.size(1);
  const int64_t grain = kernel.rows * kernel.panel;
  const int64_t most = round_down(kPackedFloats / std::max(tokens, kDepth), grain);
  const int64_t left_columns = divide_up(std::min(m, most), kernel.rows) * kernel.rows;
  const int64_t right_columns = divide_up(std::min(n, most), kernel.panel) * kernel.panel;
  static thread_local Scratch left_scratch, right_scratch;
  float* left_panels = left_scratch.floats(left_columns * tokens);
  float* right_panels = right_scratch.floats(right_columns * tokens);
  for (int64_t column = 0; column < n; column += most) {
    for (int64_t row = 0; row < m; row += most) {
      std::vector<Block> sections;
      for (int64_t begin = 0; begin < tokens; begin += kDepth) {
        sections.push_back({{a, row, std::min(most, m - row)},
                            {b, column, std::min(most, n - column)},
                            left_panels + begin * left_columns,
                            right_panels + begin * right_columns,
                            std::min(kDepth, tokens - begin)});
        sections.back().pack(nullptr, begin);
      }
      const Tasks tasks(std::min(most, m - row), std::min(most, n - column));
      parallel_tasks(tasks.count(), [&](int64_t task) {
        static thread_local Scratch tile_scratch;
        kernels::Product product;
        product.c = tile_scratch.floats(tasks.height * tasks.width);
        for (const Block& section : sections) {
          float* c = product.c;
          product = section.product(tasks.row(task), tasks.height, tasks.column(task), tasks.width);
          product.c = c;
          product.c_stride = tasks.width;
          product.add = &section != &sections.front();
          kernel.multiply(product);
        }
        take(Tile{product.c, tasks.width, row + tasks.row(task), product.rows,
                  column + tasks.column(task), product.columns});
      });
    }
  }
}

}  // namespace

void add_transposed_product(const at::Tensor& a, const at::Tensor& b, const at::Tensor& weights,
                            Part part, const at::Tensor& sum) {
  require_rows({a, b, sum});
  const bool weighted = weights.defined();
  if (a.size(0) != b.size(0) || sum.size(0) != a.size(1) || sum.size(1) != b.size(1) ||
      (weighted && (weights.scalar_type() != at::kFloat || !weights.is_contiguous() ||
                    weights.numel() != a.size(0))))
    throw std::logic_error("a transposed product: the shapes or the weights do not fit");
  if (!a.is_cpu()) {
    sum.addmm_((weighted ? a * weights.unsqueeze(1) : a).t(), b);
    return;
  }
  const kernels::Table& kernel = kernels::table();
  const int64_t tokens = a.size(0), m = a.size(1), n = b.size(1);
  const int64_t depth_most = std::min(tokens, kDepth);
  const int64_t most = round_down(kPackedFloats / kDepth, kernel.rows * kernel.panel);
  static thread_local Scratch left_scratch, right_scratch;
  float* left_panels =
      left_scratch.floats(divide_up(std::min(m, most), kernel.rows) * kernel.rows * depth_most);
  float* right_panels =
      right_scratch.floats(divide_up(std::min(n, most), kernel.panel) * kernel.panel * depth_most);
  const float* weight_data = weighted ? weights.data_ptr<float>() : nullptr;
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

void add_squared_product(const at::Tensor& a, const at::Tensor& b, const at::Tensor& sum) {
  require_rows({sum});
  if (!a.is_cpu()) {
    sum.add_(at::matmul(a.t(), b).square_());
    return;
  }
  float* c = sum.data_ptr<float>();
  for_each_tile(a, b, [&](const Tile& tile) {
    for (int64_t i = 0; i < tile.rows; ++i) {
      const float* v = tile.values + i * tile.stride;
      float* out = c + (tile.row + i) * sum.stride(0) + tile.column;
      for (int64_t j = 0; j < tile.columns; ++j)
        out[j] += v[j] * v[j];
    }
  });
}

void add_squared_product_columns(const at::Tensor& a, const at::Tensor& b, const at::Tensor& sum) {
  if (!a.is_cpu()) {
    sum.add_(at::matmul(a.t(), b).square_().sum(0, /*keepdim=*/false, at::kDouble));
    return;
  }
  // Each row of tasks adds into its own sums, so that the bits do not depend on which came first.
  const int64_t height = Tasks(1, 1).height;
  const at::Tensor partial = at::zeros({divide_up(a.size(1), height), b.size(1)}, at::kDouble);
  double* partials = partial.data_ptr<double>();
  for_each_tile(a, b, [&](const Tile& tile) {
    double* total = partials + tile.row / height * b.size(1) + tile.column;
    for (int64_t i = 0; i < tile.rows; ++i) {
      const float* v = tile.values + i * tile.stride;
      for (int64_t j = 0; j < tile.columns; ++j)
        total[j] += static_cast<double>(v[j]) * static_cast<double>(v[j]);
    }
  });
  sum.add_(partial.sum(0));
}

}  // namespace ptq
