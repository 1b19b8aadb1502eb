#include "worker.h"

#include <utility>

#include "thread_count.h"

namespace ptq::detail {

Worker::Worker(std::function<void()> poll) : poll_(std::move(poll)), thread_([this] { work(); }) {}

Worker::~Worker() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    closing_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void Worker::start(std::function<void()> task) {
  wait();
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    next_ = std::packaged_task<void()>(std::move(task));
    pending_ = next_.get_future();
  }
  changed_.notify_one();
}

void Worker::wait() {
  if (!pending_.valid()) return;
  wait_for(pending_, poll_);
  pending_.get();
}

void Worker::work() {
  // A second team of threads would wait actively for work on the processors that the run needs.
  const ThreadCount one(1);
  for (;;) {
    std::packaged_task<void()> task;
    {
      std::unique_lock<std::mutex> lock(mutex_);
      changed_.wait(lock, [this] { return closing_ || next_.valid(); });
      if (!next_.valid()) return;
      task = std::exchange(next_, {});
    }
    task();
  }
}

}  // namespace ptq::detail
