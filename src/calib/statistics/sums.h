#pragma once
#include <algorithm>
#include <array>
#include <cstdint>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "ptq/calib/statistic.h"

namespace ptq::statistic {

/// `tensor` [sequences, seq, n] as rows [sequences·seq, n].
inline at::Tensor as_rows(const at::Tensor& tensor) {
  return tensor.reshape({-1, tensor.size(-1)});
}

/// The same without each sequence's first token: contiguous rows [sequences·(seq−1), n].
inline at::Tensor rows_after_first(const at::Tensor& tensor) {
  return as_rows(tensor.slice(1, 1).contiguous());
}

/// Replaces what is below the diagonal of `matrix` [n, n] by the mirror image of what is above it.
void mirror_upper(const at::Tensor& matrix);

/// float32 [tokens]: ‖g_t‖² of the rows of `g`, float32 [tokens, n], summed in float64, on the same
/// device.
at::Tensor row_energy(const at::Tensor& g);

/// sum[j] += Σ_t term(x_tj, t): `rows` float32 [tokens, n], contiguous, `sum` float64 [n]; `term`
/// gives a float >= 0.  Relative error at most 9 float32 roundings and those of `term`: no more
/// than kRun values meet in float32.  The same bits for any number of threads.
template <class Term>
void add_column_sums(const at::Tensor& rows, const at::Tensor& sum, const Term& term) {
  constexpr int64_t kColumns = 256, kRun = 8;
  if (!rows.is_cpu()) {  // `term` runs here
    const at::Tensor part = at::zeros(sum.sizes(), at::kDouble);
    add_column_sums(rows.cpu(), part, term);
    sum.add_(part.to(sum.device()));
    return;
  }
  const int64_t tokens = rows.size(0), n = rows.size(1);
  const float* x = rows.data_ptr<float>();
  double* total = sum.data_ptr<double>();
  at::parallel_for(0, (n + kColumns - 1) / kColumns, 1, [&](int64_t begin, int64_t end) {
    for (int64_t first = begin * kColumns; first < std::min(end * kColumns, n); first += kColumns) {
      const int64_t count = std::min(kColumns, n - first);
      for (int64_t run = 0; run < tokens; run += kRun) {
        std::array<float, kColumns> partial{};
        for (int64_t t = run; t < std::min(run + kRun, tokens); ++t)
          for (int64_t j = 0; j < count; ++j)
            partial[static_cast<size_t>(j)] += term(x[t * n + first + j], t);
        for (int64_t j = 0; j < count; ++j)
          total[first + j] += partial[static_cast<size_t>(j)];
      }
    }
  });
}

}  // namespace ptq::statistic
