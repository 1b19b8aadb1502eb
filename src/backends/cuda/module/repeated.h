#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include <cuda_runtime_api.h>

#include "stopwatch.h"

namespace ptq::cuda {

/// Calls that queue work in a stream, made again and again to be timed.
class Repeated {
 public:
  /// `call(i)` queues the call i < calls.  All are made once, which lets them allocate what they
  /// need; with `graph` they are then captured, without waiting or allocating, in a CUDA graph that
  /// stands for them.  Throws Failure.
  Repeated(cudaStream_t stream, int64_t calls, std::function<void(int64_t)> call, bool graph);
  Repeated(const Repeated&) = delete;
  Repeated& operator=(const Repeated&) = delete;

  /// Times them for at least so many seconds and once.  Throws Failure.
  void spend(double seconds);
  /// The median over all that was timed; there must be some.
  double seconds_of_call();

 private:
  void capture();
  void queue();
  double interval(int64_t passes);

  cudaStream_t stream_;
  int64_t calls_;
  std::function<void(int64_t)> call_;
  Stopwatch watch_;
  std::shared_ptr<CUgraphExec_st> graph_;  ///< null: none was asked for
  int64_t passes_ = 1;                     ///< between two events
  std::vector<double> seconds_;            ///< of a call
};

}  // namespace ptq::cuda
