#include <algorithm>
#include <chrono>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <unistd.h>

#include "ptq/core/cpu.h"
#include "ptq/core/kernels/vector.h"
#include "ptq/pipeline/bench_gemm.h"

namespace ptq {
namespace {

constexpr int kRepeats = 9;

/// Sums words with whole registers: as fast as memory delivers them.
struct ReadKernel {
  template <int W>
  [[gnu::always_inline]] static inline void run(const int32_t* from, int64_t count, uint32_t& sum) {
    using Words = typename kernels::VectorTypes<W>::Int;
    constexpr int64_t kAhead = 512;
    Words sums[4] = {};
    for (int64_t i = 0; i + 4 * W <= count; i += 4 * W)
      for (int part = 0; part < 4; ++part) {
        Words words;
        __builtin_memcpy(&words, from + i + part * W, sizeof(words));
        __builtin_prefetch(from + i + part * W + kAhead);
        sums[part] += words;
      }
    for (int lane = 0; lane < W; ++lane)
      sum += sums[0][lane] + sums[1][lane] + sums[2][lane] + sums[3][lane];
  }
};

template <class Body>
double median_seconds(const Body& body) {
  std::vector<double> seconds;
  for (int repeat = 0; repeat <= kRepeats; ++repeat) {
    const auto start = std::chrono::steady_clock::now();
    body();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    if (repeat > 0) seconds.push_back(took.count());  // the first call warms up
  }
  std::nth_element(seconds.begin(), seconds.begin() + kRepeats / 2, seconds.end());
  return seconds[kRepeats / 2];
}

double read_rate(int64_t bytes) {
  const int64_t words = bytes / 4;
  const at::Tensor memory = at::ones({words}, at::kInt);
  const int32_t* data = memory.data_ptr<int32_t>();
  const int64_t workers = at::get_num_threads();
  std::vector<uint32_t> sums(static_cast<size_t>(workers));
  const double seconds = median_seconds([&] {
    at::parallel_for(0, workers, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        run_on_cpu<ReadKernel>(data + words / workers * i, words / workers,
                               sums[static_cast<size_t>(i)]);
    });
  });
  return static_cast<double>(words / workers * workers * 4) / seconds;
}

double product_rate() {
  constexpr int64_t kSize = 2048;
  const at::Tensor a = at::randn({kSize, kSize}), b = at::randn({kSize, kSize});
  at::Tensor c = at::empty({kSize, kSize});
  return 2.0 * kSize * kSize * kSize / median_seconds([&] { at::mm_out(c, a, b); });
}

}  // namespace

MachineRates measure_machine() {
  constexpr int64_t kUnknown = int64_t{32} << 20;
  const int64_t cache = std::max<int64_t>(sysconf(_SC_LEVEL3_CACHE_SIZE), 0);
  MachineRates rates;
  rates.cache_bytes = cache > 0 ? cache : kUnknown;
  rates.read_bytes_per_second = read_rate(std::max(4 * rates.cache_bytes, int64_t{256} << 20));
  rates.flops_per_second = product_rate();
  return rates;
}

}  // namespace ptq
