// W4a16Context::measure and time_products: what the device does at best, and what products take on
// it.
#include <algorithm>
#include <cstring>
#include <random>

#include "context.h"
#include "number.h"
#include "ptq/backends/rotation.h"
#include "repeated.h"

namespace {

constexpr double kRateSeconds = 0.3;
constexpr int64_t kCopiedBytes = int64_t{256} << 20;
constexpr int64_t kSquare = 8192;  // rows of the matrices that tell the matrix rate
constexpr int kRounds = 3;         // in which both products take turns: clocks drift
constexpr int64_t kLeastCalls = 32;
constexpr int64_t kPattern = 1000003;  // values, a prime: copies of operands differ

using ptq::cuda::check;
using ptq::cuda::DeviceBuffer;
using ptq::cuda::Failure;
using ptq::cuda::Number;
using ptq::cuda::Repeated;

/// `count` values from -1 to 1: a device that multiplies zeros takes less power and is faster.
const uint16_t* random_values(DeviceBuffer& buffer, int64_t count, Number number) {
  std::minstd_rand random(1);
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<uint16_t> pattern(std::min(count, kPattern));
  for (uint16_t& value : pattern) {
    value = ptq::cuda::encode(number, uniform(random));
  }
  const auto length = static_cast<int64_t>(pattern.size());
  uint16_t* values = buffer.reserve<uint16_t>(count);
  for (int64_t first = 0; first < count; first += length) {
    check(cudaMemcpy(values + first, pattern.data(), 2 * std::min(length, count - first),
                     cudaMemcpyHostToDevice),
          "copying to the device");
  }
  // A copy from pageable memory may still be under way, and our stream does not wait for it.
  check(cudaStreamSynchronize(nullptr), "copying to the device");
  return values;
}

/// Arrays of one size in a row, which take turns.
struct Copies {
  int64_t values = 0;  ///< of one
  int64_t count = 0;
  DeviceBuffer memory;

  Copies(int64_t least_values, int64_t cache_bytes)
      : values(ptq::cuda::round_up(least_values, 64)),  // kernels want whole 16 bytes
        count(ptq::rotating_copies(2.0 * static_cast<double>(values), cache_bytes)) {}
  uint16_t* operator[](int64_t i) {
    return memory.reserve<uint16_t>(values * count) + i % count * values;
  }
};

int64_t cache_bytes_of(int device) {
  int bytes = 0;
  check(cudaDeviceGetAttribute(&bytes, cudaDevAttrL2CacheSize, device), "asking for the cache");
  return bytes;
}

double copy_rate(int64_t cache_bytes, cudaStream_t stream) {
  const int64_t bytes = std::max(kCopiedBytes, 3 * cache_bytes);
  DeviceBuffer from, to;
  const void* source = random_values(from, bytes / 2, Number::kFp16);
  void* target = to.reserve<uint8_t>(bytes);
  Repeated copy(
      stream, 1,
      [&](int64_t) {
        check(cudaMemcpyAsync(target, source, bytes, cudaMemcpyDeviceToDevice, stream), "copying");
      },
      false);
  copy.spend(kRateSeconds);
  return 2.0 * static_cast<double>(bytes) / copy.seconds_of_call();
}

double matrix_rate(ptq::cuda::CublasLt& blas, Number number, cudaStream_t stream) {
  DeviceBuffer a, b, c;
  const ptq::cuda::DenseProduct product{number,
                                        random_values(a, kSquare * kSquare, number),
                                        random_values(b, kSquare * kSquare, number),
                                        c.reserve<uint16_t>(kSquare * kSquare),
                                        false,
                                        kSquare,
                                        kSquare,
                                        kSquare,
                                        kSquare};
  Repeated multiply(
      stream, 1, [&](int64_t) { blas.multiply(product, true, stream); }, false);
  multiply.spend(kRateSeconds);
  return 2.0 * kSquare * kSquare * kSquare / multiply.seconds_of_call();
}

}  // namespace

void W4a16Context::measure(int32_t number, W4a16Rates& rates) {
  select();
  load_blas();
  cudaDeviceProp properties{};
  check(cudaGetDeviceProperties(&properties, device), "asking for the device");
  std::strncpy(rates.device, properties.name, sizeof rates.device - 1);
  rates.device[sizeof rates.device - 1] = '\0';
  rates.cache_bytes = cache_bytes_of(device);
  rates.copy_bytes_per_second = copy_rate(rates.cache_bytes, stream);
  rates.flops_per_second = matrix_rate(*blas_, static_cast<Number>(number), stream);
}

void W4a16Context::time_products(W4a16Timing& timing) {
  select();
  if (timing.count < 1 || timing.m < 1)
    throw Failure(kW4a16BadArgument, "there is nothing to time");
  load_blas();
  const W4a16Layer& layer = *timing.layers[0];
  if (layer.device != device) throw Failure(kW4a16BadArgument, "the layer is on another device");
  const ptq::cuda::WeightView& view = layer.view;
  const int64_t cache = cache_bytes_of(device), k = view.padded_k;
  Copies x(timing.m * k, cache), y(timing.m * view.n, cache), w(int64_t{view.n} * k, cache);
  random_values(x.memory, x.values * x.count, layer.number);
  for (int64_t i = 0; i < w.count; ++i) {
    dequantize(layer, 0, view.padded_n / ptq::cuda::kStripN, w[i]);
  }
  const int64_t calls = std::max({x.count, y.count, kLeastCalls});
  Repeated packed(
      stream, std::max(calls, timing.count),
      [&](int64_t i) {
        W4a16Product product{};
        product.x = x[i];
        product.y = y[i];
        product.m = timing.m;
        product.x_stride = k;
        product.y_stride = view.n;
        product.path = timing.path;
        product.tune = timing.tune;
        multiply(*timing.layers[i % timing.count], product);
      },
      timing.graph != 0);
  Repeated dense(
      stream, std::max(calls, w.count),
      [&](int64_t i) {
        blas_->multiply({layer.number, x[i], w[i], y[i], false, timing.m, view.n, k, view.n},
                        timing.tune != 0, stream);
      },
      timing.graph != 0);
  for (int round = 0; round < kRounds; ++round) {
    packed.spend(timing.seconds / kRounds);
    dense.spend(timing.seconds / kRounds);
  }
  timing.packed_seconds = packed.seconds_of_call();
  timing.dense_seconds = dense.seconds_of_call();
}
