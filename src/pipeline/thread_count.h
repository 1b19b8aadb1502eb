#pragma once

namespace ptq::detail {

/// As long as this lives, LibTorch and OpenMP use `count` processors for what the calling thread
/// starts.  Unlike at::set_num_threads it changes nothing for other threads.
class ThreadCount {
 public:
  explicit ThreadCount(int count);
  ~ThreadCount();
  ThreadCount(const ThreadCount&) = delete;
  ThreadCount& operator=(const ThreadCount&) = delete;

 private:
  int before_;
};

}  // namespace ptq::detail
