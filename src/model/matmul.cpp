#include "ptq/model/matmul.h"

#include <algorithm>
#include <stdexcept>

#include <ATen/ATen.h>

#include "kernels/dispatch.h"
#include "ptq/core/parallel.h"
#include "ptq/core/scratch.h"

namespace ptq {
namespace {

constexpr int64_t kDepth = 1024;            // of a block: its rows of A stay in the L2 cache
constexpr int64_t kGroupFloats = 96 << 10;  // packed B of a task: stays in L2 too
constexpr int64_t kPackedFloats = 4 << 20;  // packed B of all tasks
constexpr int64_t kInnerRows = 96, kTaskRows = 4 * kInnerRows;

int64_t divide_up(int64_t value, int64_t by) {
  return (value + by - 1) / by;
}

/// Columns first … first + columns − 1 of B and its rows from `depth_begin`.
struct RightBlock {
  int64_t first, columns, depth_begin, depth;
};

/// Packs one panel, `count` columns of B from `column` on.
void pack_panel(const at::Tensor& b, bool transposed, const RightBlock& block, int64_t column,
                float* panel) {
  const kernels::Table& kernel = kernels::table();
  const int64_t stride = b.stride(0);
  const int64_t count = std::min(kernel.panel, block.columns - column);
  const int64_t first = block.first + column;
  const int64_t offset =
      transposed ? first * stride + block.depth_begin : block.depth_begin * stride + first;
  if (b.scalar_type() == at::kBFloat16) {
    const void* data = b.data_ptr<at::BFloat16>() + offset;
    const auto* bits = static_cast<const uint16_t*>(data);
    if (transposed)
      kernel.pack_bf16(bits, stride, count, block.depth, panel);
    else
      kernel.pack_right_bf16({bits, stride, count, block.depth}, panel);
  } else if (transposed) {
    kernel.pack(b.data_ptr<float>() + offset, stride, count, block.depth, panel);
  } else {
    kernel.pack_right({b.data_ptr<float>() + offset, stride, count, block.depth}, panel);
  }
}

void multiply_block(const at::Tensor& x, const RightBlock& block, const float* packed,
                    const at::Tensor& y) {
  const kernels::Table& kernel = kernels::table();
  const float* a = x.data_ptr<float>();
  float* c = y.data_ptr<float>();
  const int64_t most = std::max(kGroupFloats / block.depth, kernel.panel);
  const int64_t across = divide_up(block.columns, most);
  const int64_t width = divide_up(divide_up(block.columns, across), kernel.panel) * kernel.panel;
  const int64_t down = divide_up(x.size(0), kTaskRows);
  parallel_tasks(across * down, [&](int64_t task) {
    const int64_t column = task % across * width;
    const int64_t end = std::min(x.size(0), (task / across + 1) * kTaskRows);
    for (int64_t row = task / across * kTaskRows; row < end; row += kInnerRows) {
      kernels::Product product;
      product.a = a + row * x.stride(0) + block.depth_begin;
      product.a_stride = x.stride(0);
      product.b = packed + column * block.depth;
      product.panel_stride = kernel.panel * block.depth;
      product.c = c + row * y.stride(0) + block.first + column;
      product.c_stride = y.stride(0);
      product.rows = std::min(kInnerRows, end - row);
      product.depth = block.depth;
      product.columns = std::min(width, block.columns - column);
      product.add = block.depth_begin > 0;
      kernel.multiply(product);
    }
  });
}

void check(const at::Tensor& x, const at::Tensor& b, bool transposed, const at::Tensor& y) {
  const bool dtypes = x.scalar_type() == at::kFloat && y.scalar_type() == at::kFloat &&
                      (b.scalar_type() == at::kFloat || b.scalar_type() == at::kBFloat16);
  const bool shapes = x.dim() == 2 && b.dim() == 2 && y.dim() == 2 &&
                      x.size(1) == b.size(transposed ? 1 : 0) && y.size(0) == x.size(0) &&
                      y.size(1) == b.size(transposed ? 0 : 1);
  if (!dtypes || !shapes || (y.stride(1) != 1 && y.size(1) > 1))
    throw std::logic_error("a matrix product: the dtypes, shapes or rows do not fit");
}

/// y = x·B for B [in, out], or its transpose [out, in].
void multiply_blocks(const at::Tensor& x, const at::Tensor& b, bool transposed,
                     const at::Tensor& y) {
  check(x, b, transposed, y);
  if (!x.is_cpu()) {  // LibTorch's own product there
    const at::Tensor right = b.to(at::kFloat);
    y.copy_(at::matmul(x, transposed ? right.t() : right));
    return;
  }
  if (x.size(1) == 0) y.zero_();
  if (y.numel() == 0 || x.size(1) == 0) return;
  const int64_t out = b.size(transposed ? 0 : 1), in = b.size(transposed ? 1 : 0);
  const int64_t depth = std::min(in, kDepth), panel = kernels::table().panel;
  const int64_t columns =
      std::min(divide_up(out, panel), std::max(kPackedFloats / depth / panel, int64_t{1})) * panel;
  static thread_local Scratch scratch;
  float* packed = scratch.floats(columns * depth);
  for (int64_t first = 0; first < out; first += columns) {
    for (int64_t begin = 0; begin < in; begin += depth) {
      const RightBlock block{first, std::min(columns, out - first), begin,
                             std::min(depth, in - begin)};
      parallel_tasks(divide_up(block.columns, panel), [&](int64_t i) {
        pack_panel(b, transposed, block, i * panel, packed + i * panel * block.depth);
      });
      multiply_block(x, block, packed, y);
    }
  }
}

at::Tensor with_contiguous_rows(const at::Tensor& x) {
  return x.stride(1) == 1 ? x : x.contiguous();
}

}  // namespace

at::Tensor matmul_transposed(const at::Tensor& x, const at::Tensor& weight,
                             const at::Tensor& bias) {
  at::Tensor y = at::empty({x.size(0), weight.size(0)}, x.options());
  matmul_transposed_into(x, weight, y);
  if (bias.defined()) y.add_(bias);
  return y;
}

void matmul_transposed_into(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& y) {
  multiply_blocks(with_contiguous_rows(x), with_contiguous_rows(weight), true, y);
}

at::Tensor matrix_product(const at::Tensor& a, const at::Tensor& b) {
  at::Tensor y = at::empty({a.size(0), b.size(1)}, a.options());
  multiply_blocks(with_contiguous_rows(a), with_contiguous_rows(b), false, y);
  return y;
}

}  // namespace ptq
