#include "../../src/pipeline/worker.h"

#include <atomic>
#include <string>
#include <thread>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "ptq/core/error.h"

namespace {

using ptq::detail::Worker;

TEST(Worker, RunsTasksOneAfterAnother) {
  std::string order;
  {
    Worker worker([] {});
    for (const char task : {'a', 'b', 'c'})
      worker.start([&order, task] { order += task; });
    worker.wait();
    EXPECT_EQ(order, "abc");
    worker.start([&order] { order += 'd'; });
  }
  EXPECT_EQ(order, "abcd") << "a task that was handed over is done before the end";
}

TEST(Worker, ThrowsWhatATaskThrewOnce) {
  Worker worker([] {});
  worker.start([] { throw ptq::ResourceError("full"); });
  EXPECT_THROW(worker.start([] { FAIL() << "handed over in spite of the error"; }),
               ptq::ResourceError);
  worker.start([] { throw ptq::ResourceError("full again"); });
  EXPECT_THROW(worker.wait(), ptq::ResourceError);
  worker.wait();
}

TEST(Worker, ALongWaitCanBeInterrupted) {
  std::atomic<bool> go{false};
  Worker worker([] { throw ptq::InterruptedError("interrupted"); });
  worker.start([&go] {
    while (!go)
      std::this_thread::yield();
  });
  EXPECT_THROW(worker.wait(), ptq::InterruptedError);
  go = true;
}

TEST(Worker, TakesOneProcessorAndLeavesTheRestToTheRun) {
  const int before = at::get_num_threads();
  at::set_num_threads(3);
  int inside = 0;
  Worker worker([] {});
  worker.start([&inside] {
    at::ones({1 << 20}).mul_(2);  // parallel elsewhere
    inside = at::get_num_threads();
  });
  worker.wait();
  EXPECT_EQ(inside, 1);
  EXPECT_EQ(at::get_num_threads(), 3);
  at::set_num_threads(before);
}

}  // namespace
