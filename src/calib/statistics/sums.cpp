#include "sums.h"

namespace ptq::statistic {
namespace {

/// Σ v² of `n` values.
double energy(const float* values, int64_t n) {
  constexpr int64_t kLanes = 32, kRun = 8 * kLanes;
  double total = 0;
  for (int64_t run = 0; run < n; run += kRun) {
    // Several partial sums, because one alone would wait for itself at every step.
    std::array<float, kLanes> lanes{};
    const int64_t count = std::min(kRun, n - run), whole = count / kLanes * kLanes;
    const float* v = values + run;
    for (int64_t i = 0; i < whole; i += kLanes)
      for (int64_t lane = 0; lane < kLanes; ++lane)
        lanes[static_cast<size_t>(lane)] += v[i + lane] * v[i + lane];
    for (int64_t i = whole; i < count; ++i)
      lanes[static_cast<size_t>(i - whole)] += v[i] * v[i];
    for (const float lane : lanes)
      total += lane;
  }
  return total;
}

}  // namespace

void mirror_upper(const at::Tensor& matrix) {
  matrix.triu_();
  matrix.add_(matrix.triu(1).t());
}

at::Tensor row_energy(const at::Tensor& g) {
  if (!g.is_cpu()) return g.to(at::kDouble).square_().sum(1).to(at::kFloat);
  at::Tensor result = at::empty({g.size(0)}, at::kFloat);
  const float* rows = g.data_ptr<float>();
  float* out = result.data_ptr<float>();
  at::parallel_for(0, g.size(0), 16, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t)
      out[t] = static_cast<float>(energy(rows + t * g.stride(0), g.size(1)));
  });
  return result;
}

}  // namespace ptq::statistic
