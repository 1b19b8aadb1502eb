#pragma once
#include <atomic>
#include <cstdint>

#include <ATen/Parallel.h>

namespace ptq {

/// Runs `body(i)` for i = 0 … count − 1 on all threads, each taking the next free index: put the
/// longest first.  `body` must not depend on the order.
template <class Body>
void parallel_tasks(int64_t count, const Body& body) {
  std::atomic<int64_t> next{0};
  const int64_t workers = count < at::get_num_threads() ? count : at::get_num_threads();
  at::parallel_for(0, workers, 1, [&](int64_t begin, int64_t end) {
    // One share of workers is one loop: a second would find nothing left.
    if (begin == end) return;
    for (int64_t i = next++; i < count; i = next++)
      body(i);
  });
}

}  // namespace ptq
