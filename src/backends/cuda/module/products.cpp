// W4a16Context::multiply: which path a product takes, and what each queues.
#include <algorithm>

#include "context.h"
#include "crossover.h"

namespace {

constexpr int64_t kChunkBytes = int64_t{24} << 20;  // stays in the L2 cache
constexpr int64_t kMostDenseBytes = int64_t{512} << 20;
constexpr int64_t kMostRows = 32768;  // of one launch: a grid has at most 65535 rows
constexpr int64_t kMostSparseSumsBytes = int64_t{256} << 20;
constexpr int64_t kRowsStep = 64;  // tokens of S's largest tile

}  // namespace

using ptq::cuda::check;
using ptq::cuda::Failure;

bool W4a16Context::takes_small(const W4a16Layer& layer, const W4a16Product& product) {
  if (product.path == kW4a16Small) return true;
  // Only S adds a bias.
  if (product.path == kW4a16Auto && product.bias != nullptr) return true;
  const bool sparse = layer.view.first_piece != nullptr;
  const int64_t crossover = ptq::cuda::crossover_of(capability, sparse).tokens;
  if (product.path == kW4a16Auto && product.m < crossover) return true;
  try {
    load_blas();
  } catch (const Failure& failure) {
    // Kernel S takes any number of tokens; without cuBLASLt it is the only one.
    if (product.path == kW4a16Large || failure.status != kW4a16Unavailable) throw;
    return true;
  }
  return false;
}

void W4a16Context::multiply_in_parts(const W4a16Layer& layer, const W4a16Product& product,
                                     int64_t rows) {
  const auto bytes = [](int32_t is_float) { return is_float != 0 ? 4 : 2; };
  for (int64_t row = 0; row < product.m; row += rows) {
    W4a16Product part = product;
    part.m = std::min(product.m - row, rows);
    part.x =
        static_cast<const char*>(product.x) + row * product.x_stride * bytes(product.x_is_float);
    part.y = static_cast<char*>(product.y) + row * product.y_stride * bytes(product.y_is_float);
    multiply(layer, part);
  }
}

void W4a16Context::multiply(const W4a16Layer& layer, const W4a16Product& product) {
  select();
  if (product.m == 0) return;
  if (layer.device != device) throw Failure(kW4a16BadArgument, "the layer is on another device");
  if (product.m < 0 || product.x_stride < layer.view.k || product.y_stride < layer.view.n) {
    throw Failure(kW4a16BadArgument, "rows shorter than the weight's");
  }
  if (product.m > kMostRows) {
    multiply_in_parts(layer, product, kMostRows);
  } else if (product.on_host != 0) {
    multiply_from_host(layer, product);
  } else if (!takes_small(layer, product)) {
    multiply_large(layer, product);
  } else if (const int64_t rows = most_small_rows(layer); product.m > rows) {
    W4a16Product small = product;
    small.path = kW4a16Small;
    multiply_in_parts(layer, small, rows);
  } else {
    multiply_small(layer, product);
  }
}

// The sparse kernel writes a sum for every piece and row.
int64_t W4a16Context::most_small_rows(const W4a16Layer& layer) {
  if (layer.view.first_piece == nullptr) return kMostRows;
  const int64_t row_bytes = std::max<int64_t>(layer.view.pieces, 1) * sizeof(float);
  const int64_t rows = kMostSparseSumsBytes / row_bytes / kRowsStep * kRowsStep;
  return std::clamp(rows, kRowsStep, kMostRows);
}

const uint16_t* W4a16Context::stage(const W4a16Layer& layer, const W4a16Product& product,
                                    bool sorted) {
  const ptq::cuda::WeightView& view = layer.view;
  const int32_t* order = sorted ? view.order : nullptr;
  const bool aligned = reinterpret_cast<uintptr_t>(product.x) % 16 == 0;
  if (product.x_is_float == 0 && order == nullptr && view.k == view.padded_k &&
      product.x_stride == view.k && aligned) {
    return static_cast<const uint16_t*>(product.x);
  }
  const ptq::cuda::Kernels& kernels = ptq::cuda::kernels_of(layer.number);
  const auto m = static_cast<int>(product.m);
  uint16_t* out = staged_.reserve<uint16_t>(product.m * view.padded_k);
  if (product.x_is_float != 0) {
    kernels.stage(ptq::cuda::StageArgs<float>{static_cast<const float*>(product.x),
                                              product.x_stride, order, view.k, view.padded_k, out},
                  m, stream);
  } else {
    kernels.stage(
        ptq::cuda::StageArgs<uint16_t>{static_cast<const uint16_t*>(product.x), product.x_stride,
                                       order, view.k, view.padded_k, out},
        m, stream);
  }
  return out;
}

void W4a16Context::multiply_small(const W4a16Layer& layer, const W4a16Product& product) {
  const ptq::cuda::WeightView& view = layer.view;
  const ptq::cuda::Kernels& kernels = ptq::cuda::kernels_of(layer.number);
  const ptq::cuda::SmallMatmulPlan plan =
      ptq::cuda::plan_small_matmul(product.m, view.n, view.padded_k, processors);
  ptq::cuda::SmallMatmulArgs args{};
  args.weight = view;
  args.x = stage(layer, product, true);
  args.m = static_cast<int32_t>(product.m);
  args.splits = plan.splits;
  args.out = {product.y, product.y_stride, product.y_is_float != 0, product.bias, nullptr};
  if (plan.splits > 1) {
    args.partial_sums = partial_sums_.reserve<float>(plan.partial_sums());
    // New memory holds anything, also where asking for it fails and the next product asks again.
    if (plan.tiles() * sizeof(int32_t) > tickets_.bytes()) clean_tickets_ = 0;
    args.tickets = tickets_.reserve<int32_t>(plan.tiles());
    if (plan.tiles() > clean_tickets_) {
      // Launches leave their tickets at 0; only new ones have to be set.
      check(cudaMemsetAsync(args.tickets, 0, plan.tiles() * sizeof(int32_t), stream),
            "clearing tickets");
      clean_tickets_ = plan.tiles();
    }
  }
  if (view.first_piece != nullptr) {
    float* sums = sparse_sums_.reserve<float>(int64_t{view.pieces} * product.m);
    kernels.sparse({view, args.x, args.m, sums}, stream);
    args.out.sparse_sums = sums;
  }
  kernels.small_matmul(args, plan, stream);
}

// Whole, unless a chunk that stays in the L2 cache has tiles of 128 x 256 for nine in ten
// multiprocessors.
int W4a16Context::strips_of_chunk(const W4a16Layer& layer, int64_t m) const {
  using ptq::cuda::kStripN;
  const int64_t row_bytes = int64_t{layer.view.padded_k} * 2;
  const int64_t cached = kChunkBytes / row_bytes / 256 * 256;
  const int64_t tiles = (m + 127) / 128 * (cached / 256);
  const int64_t most = std::max<int64_t>(kMostDenseBytes / row_bytes, kStripN);
  const int64_t channels = tiles * 10 >= int64_t{processors} * 9 ? cached : most;
  return static_cast<int>(std::min<int64_t>(channels, layer.view.padded_n) / kStripN);
}

void W4a16Context::multiply_large(const W4a16Layer& layer, const W4a16Product& product) {
  using ptq::cuda::kStripN;
  const ptq::cuda::WeightView& view = layer.view;
  if (product.bias != nullptr) {
    throw Failure(kW4a16BadArgument, "the large path adds no bias");
  }
  const uint16_t* x = stage(layer, product, false);
  const bool prepared = layer.dense.bytes() != 0;
  const int strips = prepared ? view.padded_n / kStripN : strips_of_chunk(layer, product.m);
  for (int first = 0; first < view.padded_n / kStripN; first += strips) {
    const int count = std::min(strips, view.padded_n / kStripN - first);
    const int64_t channel = int64_t{first} * kStripN;
    const int64_t channels = std::min<int64_t>(int64_t{count} * kStripN, view.n - channel);
    const uint16_t* w = nullptr;
    if (prepared) {
      w = layer.dense.data<uint16_t>();
    } else {
      uint16_t* out = dense_.reserve<uint16_t>(int64_t{strips} * kStripN * view.padded_k);
      dequantize(layer, first, count, out);
      w = out;
    }
    char* y = static_cast<char*>(product.y) + channel * (product.y_is_float != 0 ? 4 : 2);
    blas_->multiply({layer.number, x, w, y, product.y_is_float != 0, product.m, channels,
                     view.padded_k, product.y_stride},
                    product.tune != 0, stream);
  }
}

void W4a16Context::multiply_from_host(const W4a16Layer& layer, const W4a16Product& product) {
  const size_t x_bytes = product.x_is_float != 0 ? 4 : 2;
  const size_t y_bytes = product.y_is_float != 0 ? 4 : 2;
  const size_t k = layer.view.k, n = layer.view.n;
  W4a16Product there = product;
  void* x = host_x_.reserve<uint8_t>(product.m * k * x_bytes);
  check(cudaMemcpy2DAsync(x, k * x_bytes, product.x, product.x_stride * x_bytes, k * x_bytes,
                          product.m, cudaMemcpyHostToDevice, stream),
        "copying activations to the device");
  if (product.bias != nullptr) {
    float* bias = host_bias_.reserve<float>(n);
    check(cudaMemcpyAsync(bias, product.bias, n * sizeof(float), cudaMemcpyHostToDevice, stream),
          "copying the bias to the device");
    there.bias = bias;
  }
  there.x = x;
  there.x_stride = static_cast<int64_t>(k);
  there.y = host_y_.reserve<uint8_t>(product.m * n * y_bytes);
  there.y_stride = static_cast<int64_t>(n);
  there.on_host = 0;
  multiply(layer, there);
  check(cudaMemcpy2DAsync(product.y, product.y_stride * y_bytes, there.y, n * y_bytes, n * y_bytes,
                          product.m, cudaMemcpyDeviceToHost, stream),
        "copying the result from the device");
  check(cudaStreamSynchronize(stream), "multiplying");
}
