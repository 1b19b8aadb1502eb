#include "cholesky.h"

#include <algorithm>
#include <cmath>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "ptq/core/cpu.h"
#include "ptq/model/matmul.h"

namespace ptq::quantizer {
namespace {

constexpr int64_t kBlock = 64;

/// Rows of U that are found together.
struct RowBlock {
  float* corner;   ///< the block on the diagonal
  int64_t stride;  ///< floats from a row to the next
  int64_t count;
};

/// Factors the block on the diagonal.
bool factor_corner(const RowBlock& block) {
  for (int64_t i = 0; i < block.count; ++i) {
    float* row = block.corner + i * block.stride;
    if (!(row[i] > 0)) return false;
    const float pivot = std::sqrt(row[i]);
    row[i] = pivot;
    for (int64_t k = i + 1; k < block.count; ++k)
      row[k] /= pivot;
    for (int64_t below = i + 1; below < block.count; ++below) {
      float* later = block.corner + below * block.stride;
      const float factor = row[below];
      for (int64_t k = below; k < block.count; ++k)
        later[k] -= factor * row[k];
    }
  }
  return true;
}

/// Solves Cᵀ X = B in place for the columns begin … end − 1 right of the corner C.
struct SolveRight {
  template <int W>
  [[gnu::always_inline]] static void run(const RowBlock& block, int64_t begin, int64_t end) {
    for (int64_t i = 0; i < block.count; ++i) {
      float* __restrict row = block.corner + i * block.stride;
      for (int64_t done = 0; done < i; ++done) {
        const float* __restrict known = block.corner + done * block.stride;
        const float factor = known[i];
        for (int64_t k = begin; k < end; ++k)
          row[k] -= factor * known[k];
      }
      const float inverse = 1.0F / row[i];
      for (int64_t k = begin; k < end; ++k)
        row[k] *= inverse;
    }
  }
};

}  // namespace

bool cholesky_upper(at::Tensor& matrix) {
  const int64_t n = matrix.size(0);
  const at::Tensor minus = at::full({kBlock}, -1, at::kFloat);
  for (int64_t first = 0; first < n; first += kBlock) {
    const RowBlock block{matrix.data_ptr<float>() + first * (n + 1), n,
                         std::min(kBlock, n - first)};
    if (!factor_corner(block)) return false;
    const int64_t rest = n - first - block.count;
    if (rest == 0) break;
    constexpr int64_t kColumns = 128;  // of a strip: it stays in L1
    at::parallel_for(0, (rest + kColumns - 1) / kColumns, 1, [&](int64_t from, int64_t to) {
      for (int64_t strip = from; strip < to; ++strip) {
        const int64_t begin = block.count + strip * kColumns;
        run_on_cpu<SolveRight>(block, begin, std::min(begin + kColumns, block.count + rest));
      }
    });
    const int64_t next = first + block.count;
    const at::Tensor right = matrix.narrow(0, first, block.count).narrow(1, next, rest);
    add_transposed_product(right, right, minus.narrow(0, 0, block.count), Part::kUpper,
                           matrix.narrow(0, next, rest).narrow(1, next, rest));
  }
  return true;
}

}  // namespace ptq::quantizer
