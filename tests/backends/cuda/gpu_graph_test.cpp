#include <memory>
#include <random>
#include <stdexcept>
#include <vector>

#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include "module_loader.h"
#include "weight_case.h"

// Products that a CUDA graph holds, on a real device: the caller captures the context's stream.
// Skips where there is none.
namespace ptq::cuda {
namespace {

void check(cudaError_t error) {
  if (error != cudaSuccess) throw std::runtime_error(cudaGetErrorString(error));
}

/// `count` 16-bit values that device and host see.
std::shared_ptr<uint16_t> managed(int64_t count) {
  void* memory = nullptr;
  check(cudaMallocManaged(&memory, count * sizeof(uint16_t)));
  return {static_cast<uint16_t*>(memory), cudaFree};
}

/// A product whose operands stay where they are.
class GraphCase {
 public:
  GraphCase(const W4a16Api& api, int device, const CaseOptions& options, int64_t rows,
            W4a16Path path)
      : api_(api),
        options_(options),
        x_(managed(rows * options.in)),
        y_(managed(rows * options.out)) {
    require(api.create(device, &context_));
    stream_ = static_cast<cudaStream_t>(api.stream(context_));
    const WeightCase weight(options);
    const HostWeight packed = pack(weight.arrays(), options.number);
    const W4a16Weight view = view_of(packed);
    require(api.upload(context_, &view, &layer_));
    product_.x = x_.get();
    product_.y = y_.get();
    product_.m = rows;
    product_.x_stride = options.in;
    product_.y_stride = options.out;
    product_.path = path;
  }
  ~GraphCase() {
    api_.release(layer_);
    api_.destroy(context_);
  }
  GraphCase(const GraphCase&) = delete;
  GraphCase& operator=(const GraphCase&) = delete;

  void draw(uint32_t seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal(0, 1);
    for (int64_t i = 0; i < product_.m * options_.in; ++i) {
      x_.get()[i] = encode(options_.number, normal(random));
    }
  }
  std::vector<uint16_t> plain() {
    queue();
    return result();
  }
  std::shared_ptr<CUgraphExec_st> capture() {
    check(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal));
    queue();
    cudaGraph_t graph = nullptr;
    check(cudaStreamEndCapture(stream_, &graph));
    cudaGraphExec_t made = nullptr;
    check(cudaGraphInstantiate(&made, graph, 0));
    check(cudaGraphDestroy(graph));
    return {made, cudaGraphExecDestroy};
  }
  std::vector<uint16_t> replay(cudaGraphExec_t graph) {
    check(cudaGraphLaunch(graph, stream_));
    return result();
  }

 private:
  void require(int32_t status) const {
    if (status != kW4a16Ok) throw std::runtime_error(api_.last_error());
  }
  void queue() { require(api_.multiply(context_, layer_, &product_)); }
  std::vector<uint16_t> result() {
    check(cudaStreamSynchronize(stream_));
    std::vector<uint16_t> values(y_.get(), y_.get() + product_.m * options_.out);
    std::fill_n(y_.get(), values.size(), uint16_t{0xffff});  // a replay that does nothing is seen
    return values;
  }

  const W4a16Api& api_;
  CaseOptions options_;
  W4a16Context* context_ = nullptr;
  cudaStream_t stream_ = nullptr;
  W4a16Layer* layer_ = nullptr;
  std::shared_ptr<uint16_t> x_, y_;
  W4a16Product product_{};
};

TEST(GpuGraph, ReplaysAProductToTheSameBitsIfPossible) {
  const CudaModule module = open_cuda_module(PTQ_CUDA_MODULE_PATH);
  if (module.api == nullptr) GTEST_SKIP() << module.reason;
  check(cudaSetDevice(module.first_device));
  CaseOptions options;
  options.out = 320;
  options.in = 1024;
  options.group_size = 128;
  for (const bool sparse : {false, true}) {
    options.sparse = options.permuted = sparse;
    for (const W4a16Path path : {kW4a16Small, kW4a16Large}) {
      SCOPED_TRACE(options.name() + " path " + std::to_string(path));
      GraphCase product(*module.api, module.first_device, options, 3, path);
      product.draw(1);
      const std::vector<uint16_t> first = product.plain();  // allocates
      const auto graph = product.capture();
      EXPECT_EQ(product.replay(graph.get()), first);
      EXPECT_EQ(product.replay(graph.get()), first);
      product.draw(2);
      const std::vector<uint16_t> second = product.plain();
      EXPECT_NE(second, first);
      EXPECT_EQ(product.replay(graph.get()), second);
    }
  }
}

}  // namespace
}  // namespace ptq::cuda
