#pragma once
#include <chrono>
#include <condition_variable>
#include <functional>
#include <future>
#include <mutex>
#include <thread>

namespace ptq::detail {

/// Waits for `future`, calling `poll` in between, and throws what that throws; the future's own
/// error is left to its `get`.
template <class Future>
void wait_for(const Future& future, const std::function<void()>& poll) {
  while (future.wait_for(std::chrono::milliseconds(20)) != std::future_status::ready)
    poll();
}

/// One thread beside the run's own that takes one task at a time.  LibTorch uses a single processor
/// in its tasks.
class Worker {
 public:
  /// `poll` is called while waiting, and may throw to end the wait.
  explicit Worker(std::function<void()> poll);
  /// Ends after the task in hand, whose error is lost.
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  /// Waits for the task before this one and hands over `task`.  Throws what the one before threw.
  void start(std::function<void()> task);
  /// Waits for the task in hand.  Throws what it threw.
  void wait();

 private:
  void work();

  std::function<void()> poll_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::packaged_task<void()> next_;
  bool closing_ = false;
  std::future<void> pending_;
  std::thread thread_;  // last: it uses all above
};

}  // namespace ptq::detail
