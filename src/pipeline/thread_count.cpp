#include "thread_count.h"

#include <ATen/Parallel.h>
#include <omp.h>

namespace ptq::detail {

ThreadCount::ThreadCount(int count) {
  // LibTorch sets its number when a thread first works in parallel: earlier, ours would be undone.
  // It does so once for what is inlined here, and, in releases that hide the flag (2.11), once more
  // for its own library, which only a call into it brings about.
  at::internal::lazy_init_num_threads();
  at::get_num_threads();
  before_ = omp_get_max_threads();
  omp_set_num_threads(count);
}

ThreadCount::~ThreadCount() {
  omp_set_num_threads(before_);
}

}  // namespace ptq::detail
