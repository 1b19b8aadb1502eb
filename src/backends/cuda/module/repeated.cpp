#include "repeated.h"

#include <algorithm>
#include <cmath>

namespace ptq::cuda {
namespace {

// Seconds between two events, beside which the way of the first launch to the device is nothing.
constexpr double kLeastInterval = 0.01;
constexpr double kMostPasses = 1000;

/// What a stream is given to do, while it lives, is recorded and not done.  Calls of other threads,
/// which may allocate, are nobody's business.
class Capture {
 public:
  explicit Capture(cudaStream_t stream) : stream_(stream) {
    check(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal), "recording a graph");
  }
  ~Capture() {
    if (graph_ == nullptr) cudaStreamEndCapture(stream_, &graph_);  // after a failure
    if (graph_ != nullptr) cudaGraphDestroy(graph_);
    cudaGetLastError();  // which must not meet the next call
  }
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;

  cudaGraph_t end() {
    check(cudaStreamEndCapture(stream_, &graph_), "recording a graph");
    return graph_;
  }

 private:
  cudaStream_t stream_;
  cudaGraph_t graph_ = nullptr;
};

}  // namespace

Repeated::Repeated(cudaStream_t stream, int64_t calls, std::function<void(int64_t)> call,
                   bool graph)
    : stream_(stream), calls_(calls), call_(std::move(call)), watch_(stream) {
  queue();
  check(cudaStreamSynchronize(stream_), "computing");
  if (graph) capture();
  const double passes = std::ceil(kLeastInterval / std::max(interval(1), 1e-9));
  passes_ = static_cast<int64_t>(std::clamp(passes, 1.0, kMostPasses));
}

void Repeated::capture() {
  Capture capture(stream_);
  queue();
  cudaGraphExec_t graph = nullptr;
  check(cudaGraphInstantiate(&graph, capture.end(), 0), "making a graph");
  graph_ = {graph, cudaGraphExecDestroy};
  check(cudaGraphUpload(graph, stream_), "copying a graph to the device");
}

void Repeated::queue() {
  if (graph_ != nullptr) {
    check(cudaGraphLaunch(graph_.get(), stream_), "launching a graph");
    return;
  }
  for (int64_t i = 0; i < calls_; ++i) {
    call_(i);
  }
}

double Repeated::interval(int64_t passes) {
  watch_.begin();
  for (int64_t pass = 0; pass < passes; ++pass) {
    queue();
  }
  return watch_.end();
}

void Repeated::spend(double seconds) {
  double total = 0;
  do {
    const double took = interval(passes_);
    total += took;
    seconds_.push_back(took / static_cast<double>(passes_ * calls_));
  } while (total < seconds);
}

double Repeated::seconds_of_call() {
  const auto middle = seconds_.begin() + static_cast<std::ptrdiff_t>(seconds_.size() / 2);
  std::nth_element(seconds_.begin(), middle, seconds_.end());
  return *middle;
}

}  // namespace ptq::cuda
