#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include <cuda_runtime_api.h>

#include "cublas_lt.h"
#include "device_buffer.h"
#include "launch.h"
#include "w4a16_api.h"

/// A packed weight on a device.
struct W4a16Layer {
  int device = 0;
  ptq::cuda::Number number = ptq::cuda::Number::kFp16;
  ptq::cuda::WeightView view{};
  ptq::cuda::DeviceBuffer codes, scales, zeros, order, position;
  ptq::cuda::DeviceBuffer first_piece, piece_begin, sparse_positions, sparse_values;
  ptq::cuda::DeviceBuffer dense;  ///< [n, padded_k] while prepared

  int64_t bytes() const;  ///< of device memory
};

/// A device, a stream of its own and what products need beside their operands.  Two contexts share
/// nothing, so that their streams cannot meet in a ticket or a workspace.
struct W4a16Context {
  /// Makes the stream; throws Failure for a device that cannot run the kernels.
  explicit W4a16Context(int device);
  ~W4a16Context();
  W4a16Context(const W4a16Context&) = delete;
  W4a16Context& operator=(const W4a16Context&) = delete;

  /// Copies a weight of host memory to the device and waits.  Throws Failure.
  std::unique_ptr<W4a16Layer> upload(const W4a16Weight& weight);
  /// Queues the dequantization that `layer.dense` then keeps, if products of so many rows by `path`
  /// use it.  Throws Failure, and keeps nothing.
  void prepare(W4a16Layer& layer, int64_t rows, int32_t path);
  /// Queues the product; waits for it if its operands are in host memory.  Throws Failure.
  void multiply(const W4a16Layer& layer, const W4a16Product& product);
  /// Measures the device with numbers of format `number`.  Throws Failure.
  void measure(int32_t number, W4a16Rates& rates);
  /// Times products and fills in the results.  Throws Failure.
  void time_products(W4a16Timing& timing);

  int device;
  int capability;  ///< 10 · major + minor
  int processors = 0;
  cudaStream_t stream = nullptr;

 private:
  void select() const;
  void load_blas();
  static int64_t most_small_rows(const W4a16Layer& layer);
  void multiply_in_parts(const W4a16Layer& layer, const W4a16Product& product, int64_t rows);
  bool takes_small(const W4a16Layer& layer, const W4a16Product& product);
  const uint16_t* stage(const W4a16Layer& layer, const W4a16Product& product, bool sorted);
  void multiply_small(const W4a16Layer& layer, const W4a16Product& product);
  void multiply_large(const W4a16Layer& layer, const W4a16Product& product);
  void multiply_from_host(const W4a16Layer& layer, const W4a16Product& product);
  void dequantize(const W4a16Layer& layer, int first_strip, int strips, uint16_t* out);
  int strips_of_chunk(const W4a16Layer& layer, int64_t m) const;

  std::unique_ptr<ptq::cuda::CublasLt> blas_;
  std::optional<ptq::cuda::Failure> no_blas_;  ///< why there is none
  ptq::cuda::DeviceBuffer staged_, partial_sums_, tickets_, sparse_sums_, dense_;
  ptq::cuda::DeviceBuffer host_x_, host_y_, host_bias_;
  int64_t clean_tickets_ = 0;  ///< tickets known to be 0
};

namespace ptq::cuda {

/// Those for weights and activations of format `number`.
const Kernels& kernels_of(Number number);

}  // namespace ptq::cuda
