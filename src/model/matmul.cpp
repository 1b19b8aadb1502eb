#include "matmul.h"

#include <algorithm>

#include <ATen/ATen.h>

#include "kernels/dispatch.h"
#include "parallel.h"
#include "scratch.h"

namespace ptq {
namespace {

constexpr int64_t kDepth = 1024;            // of a block: its rows of A stay in the L2 cache
constexpr int64_t kGroupFloats = 96 << 10;  // packed B of a task: stays in L2 too
constexpr int64_t kPackedFloats = 4 << 20;  // packed B of all tasks
constexpr int64_t kInnerRows = 96, kTaskRows = 4 * kInnerRows;

int64_t divide_up(int64_t value, int64_t by) {
  return (value + by - 1) / by;
}

/// W rows first … first + columns − 1 and its columns from `depth_begin`, packed by all threads.
struct WeightBlock {
  const at::Tensor& weight;
  int64_t first, columns, depth_begin, depth;

  void pack(float* packed) const {
    const kernels::Table& kernel = kernels::table();
    const int64_t stride = weight.size(1);
    parallel_tasks(divide_up(columns, kernel.panel), [&](int64_t i) {
      const int64_t row = i * kernel.panel;
      const int64_t offset = (first + row) * stride + depth_begin;
      const int64_t count = std::min(kernel.panel, columns - row);
      if (weight.scalar_type() == at::kFloat) {
        kernel.pack(weight.data_ptr<float>() + offset, stride, count, depth, packed + row * depth);
      } else {
        const void* data = weight.data_ptr<at::BFloat16>() + offset;
        kernel.pack_bf16(static_cast<const uint16_t*>(data), stride, count, depth,
                         packed + row * depth);
      }
    });
  }
};

void multiply(const at::Tensor& x, const WeightBlock& block, const float* packed,
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
      product.a = a + row * x.size(1) + block.depth_begin;
      product.a_stride = x.size(1);
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

}  // namespace

at::Tensor matmul_transposed(const at::Tensor& x, const at::Tensor& weight,
                             const at::Tensor& bias) {
  at::Tensor y = at::empty({x.size(0), weight.size(0)}, x.options());
  matmul_transposed_into(x, weight, y);
  if (bias.defined()) y.add_(bias);
  return y;
}

void matmul_transposed_into(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& y) {
  const at::Tensor rows = x.contiguous(), w = weight.contiguous();
  const int64_t out = w.size(0), in = w.size(1);
  const int64_t depth = std::min(in, kDepth), panel = kernels::table().panel;
  const int64_t columns =
      std::min(divide_up(out, panel), std::max(kPackedFloats / depth / panel, int64_t{1})) * panel;
  static thread_local Scratch scratch;
  float* packed = scratch.floats(columns * depth);
  for (int64_t first = 0; first < out; first += columns) {
    for (int64_t begin = 0; begin < in; begin += depth) {
      const WeightBlock block{w, first, std::min(columns, out - first), begin,
                              std::min(depth, in - begin)};
      block.pack(packed);
      multiply(rows, block, packed, y);
    }
  }
}

}  // namespace ptq
