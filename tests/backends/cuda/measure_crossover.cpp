// Times both paths of the module on this machine's device and prints from how many tokens on the
// dequantizing one is faster: the rows of src/backends/cuda/crossover.h for such a device.
#include <algorithm>
#include <cstdio>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include <cuda_runtime_api.h>

#include "find_crossover.h"
#include "module_loader.h"
#include "weight_case.h"

namespace ptq::cuda {
namespace {

// Linears of Llama-3-8B: inputs, outputs.
constexpr int64_t kShapes[][2] = {{4096, 4096}, {4096, 6144}, {4096, 14336}, {14336, 4096}};
const std::vector<int64_t> kTokens = {16, 32, 48, 64, 96, 128, 160, 192, 256, 320, 384, 512};
constexpr int kRounds = 5;               // in which the paths take turns: clocks drift
constexpr double kSparseShare = 0.0045;  // of the weights

void check(cudaError_t error, const char* what) {
  if (error != cudaSuccess)
    throw std::runtime_error(std::string(what) + ": " + cudaGetErrorString(error));
}

/// A random weight with groups of 128, some of its values sparse.
HostWeight random_weight(int64_t in, int64_t out, bool sparse) {
  CaseOptions options;
  options.in = in;
  options.out = out;
  options.group_size = 128;
  WeightCase weight(options);
  std::mt19937 random(2);
  if (sparse) {
    const auto gap = static_cast<uint32_t>(2 / kSparseShare);  // 1 … gap, half of it on average
    weight.options.sparse = true;
    weight.row_begin = {0};
    for (int64_t row = 0; row < out; ++row) {
      for (int64_t i = random() % gap; i < in; i += 1 + random() % gap) {
        weight.columns.push_back(static_cast<int32_t>(i));
        weight.values.push_back(1);
      }
      weight.row_begin.push_back(static_cast<int32_t>(weight.columns.size()));
    }
  }
  return pack(weight.arrays(), options.number);
}

/// One shape on the device: more copies of its weight than the L2 cache holds, and operands.
class ShapeTimer {
 public:
  ShapeTimer(const W4a16Api& api, int device, const HostWeight& weight)
      : api_(api), k_(weight.k), n_(weight.n) {
    require(api.create(device, &context_));
    stream_ = static_cast<cudaStream_t>(api.stream(context_));
    int cache = 0;
    check(cudaDeviceGetAttribute(&cache, cudaDevAttrL2CacheSize, device), "asking for the cache");
    const W4a16Weight view = view_of(weight);
    for (int64_t bytes = 0; bytes <= 3 * int64_t{cache}; bytes += api.layer_bytes(layers_.back())) {
      layers_.emplace_back();
      require(api.upload(context_, &view, &layers_.back()));
    }
    std::mt19937 random(1);
    std::normal_distribution<float> normal(0, 1);
    std::vector<uint16_t> x(kTokens.back() * k_);
    for (uint16_t& value : x) {
      value = encode(weight.number, normal(random));
    }
    check(cudaMalloc(&x_, x.size() * 2), "allocating");
    check(cudaMalloc(&y_, kTokens.back() * n_ * 2), "allocating");
    check(cudaMemcpy(x_, x.data(), x.size() * 2, cudaMemcpyHostToDevice), "copying");
    check(cudaEventCreate(&begin_), "making an event");
    check(cudaEventCreate(&end_), "making an event");
  }
  ~ShapeTimer() {
    for (W4a16Layer* layer : layers_) {
      api_.release(layer);
    }
    api_.destroy(context_);
    cudaEventDestroy(begin_);
    cudaEventDestroy(end_);
    cudaFree(x_);
    cudaFree(y_);
  }
  ShapeTimer(const ShapeTimer&) = delete;
  ShapeTimer& operator=(const ShapeTimer&) = delete;

  /// Microseconds of a product, queued in a row with every copy of the weight in turn.
  double microseconds(int64_t tokens, W4a16Path path) {
    W4a16Product product{};
    product.x = x_;
    product.y = y_;
    product.m = tokens;
    product.x_stride = k_;
    product.y_stride = n_;
    product.path = path;
    const size_t calls = std::max<size_t>(2 * layers_.size(), 20);
    require(api_.multiply(context_, layers_[0], &product));  // allocates
    check(cudaEventRecord(begin_, stream_), "recording");
    for (size_t call = 0; call < calls; ++call) {
      require(api_.multiply(context_, layers_[call % layers_.size()], &product));
    }
    check(cudaEventRecord(end_, stream_), "recording");
    check(cudaEventSynchronize(end_), "multiplying");
    float milliseconds = 0;
    check(cudaEventElapsedTime(&milliseconds, begin_, end_), "timing");
    return 1000.0 * milliseconds / static_cast<double>(calls);
  }

 private:
  void require(int32_t status) const {
    if (status != kW4a16Ok) throw std::runtime_error(api_.last_error());
  }

  const W4a16Api& api_;
  int64_t k_, n_;
  W4a16Context* context_ = nullptr;
  cudaStream_t stream_ = nullptr;
  std::vector<W4a16Layer*> layers_;
  void *x_ = nullptr, *y_ = nullptr;
  cudaEvent_t begin_ = nullptr, end_ = nullptr;
};

double median_of_rounds(ShapeTimer& timer, int64_t tokens, W4a16Path path,
                        std::vector<double>& rounds) {
  rounds.push_back(timer.microseconds(tokens, path));
  std::vector<double> sorted = rounds;
  std::sort(sorted.begin(), sorted.end());
  return sorted[sorted.size() / 2];
}

/// Prints every time and the table's row.
void measure(const CudaModule& module, int capability, bool sparse) {
  std::vector<double> small(kTokens.size()), large(kTokens.size());  // sums over the shapes
  std::printf("%s sparse part\nK x N          tokens   fused us   dequantize us\n",
              sparse ? "with a" : "without");
  for (const auto& [in, out] : kShapes) {
    ShapeTimer timer(*module.api, module.first_device, random_weight(in, out, sparse));
    for (size_t i = 0; i < kTokens.size(); ++i) {
      std::vector<double> small_rounds, large_rounds;
      double s = 0, l = 0;
      for (int round = 0; round < kRounds; ++round) {
        s = median_of_rounds(timer, kTokens[i], kW4a16Small, small_rounds);
        l = median_of_rounds(timer, kTokens[i], kW4a16Large, large_rounds);
      }
      small[i] += s;
      large[i] += l;
      std::printf("%5d x %-6d %6d %10.1f %15.1f\n", static_cast<int>(in), static_cast<int>(out),
                  static_cast<int>(kTokens[i]), s, l);
    }
  }
  const std::optional<int64_t> found = find_crossover(kTokens, small, large);
  if (found) {
    std::printf("row of crossover.h: {%d, %s, %d, Crossover::Source::kMeasured},\n", capability,
                sparse ? "true" : "false", static_cast<int>(*found));
  } else {
    std::printf("dequantizing was not faster at %d tokens\n", static_cast<int>(kTokens.back()));
  }
}

int run() {
  const CudaModule module = open_cuda_module(PTQ_CUDA_MODULE_PATH);
  if (module.api == nullptr) throw std::runtime_error(module.reason);
  int major = 0, minor = 0;
  check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, module.first_device),
        "asking for the device");
  check(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, module.first_device),
        "asking for the device");
  check(cudaSetDevice(module.first_device), "selecting the device");
  for (const bool sparse : {false, true}) {
    measure(module, 10 * major + minor, sparse);
  }
  return 0;
}

}  // namespace
}  // namespace ptq::cuda

int main() {
  try {
    return ptq::cuda::run();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
