#pragma once
#include <cstdint>

#include "ptq/backends/device_columns.h"

// The functions of the module libptq_cuda, which is opened at run time: a program that may use it
// needs neither CUDA's libraries nor its headers.  Plain C types, so that compilers may differ.
// Pointers are to device memory unless they say otherwise; devices have compute capability 8.0 or
// later.
extern "C" {

struct W4a16Context;  ///< a device, a stream and the memory that products need; one call at a time
struct W4a16Layer;    ///< a packed weight on a device

/// What a function returns; W4a16Api::last_error has the text.
enum W4a16Status : int32_t {
  kW4a16Ok = 0,
  kW4a16Unavailable = 1,  ///< no driver, too old a one, no device that can run the kernels
  kW4a16OutOfMemory = 2,
  kW4a16BadArgument = 3,
  kW4a16Failure = 4,  ///< of CUDA or cuBLAS; the context cannot be trusted any more
};

/// A packed weight in host memory, as HostWeight (host_weight.h); null where an array is empty.
struct W4a16Weight {
  int32_t number;  ///< 0 float16, 1 bfloat16
  int32_t tile_shift;
  int64_t n, k, padded_n, padded_k, scale_rows;
  const uint32_t* codes;
  const uint16_t* scales;
  const uint32_t* zeros;
  const int32_t* order;
  const int32_t* position;
  const int32_t* first_piece;
  const int32_t* piece_begin;
  const int32_t* sparse_positions;
  const uint16_t* sparse_values;
  int64_t pieces, sparse_values_count;
};

/// How a product is computed.
enum W4a16Path : int32_t {
  kW4a16Auto = 0,   ///< what is faster for so many rows; kernel S with a bias
  kW4a16Small = 1,  ///< kernel S
  kW4a16Large = 2,  ///< dequantized, then cuBLASLt; takes no bias
};

/// y [m, n] = x [m, k] Wᵀ + bias.  Rows are contiguous; strides count values.
struct W4a16Product {
  const void* x;
  void* y;
  const float* bias;  ///< [n], or null
  int64_t m, x_stride, y_stride;
  int32_t x_is_float, y_is_float;  ///< else the weight's 16-bit format
  int32_t on_host;                 ///< x, y and bias are in host memory: the call copies and waits
  int32_t path;                    ///< W4a16Path
  /// Times cuBLASLt's algorithms when a shape is met first and takes the fastest from then on,
  /// which makes last bits a matter of timing; else its first proposal.
  int32_t tune;
};

/// What a device does at best with numbers of a format.
struct W4a16Rates {
  char device[256];     ///< its name, ended by a zero
  int64_t cache_bytes;  ///< of L2
  /// Copying more than three times as much within the device; bytes read and bytes written count.
  double copy_bytes_per_second;
  double flops_per_second;  ///< cuBLASLt's fastest algorithm for large square matrices
};

/// What is to be timed, between events on the device and without copies from or to the host: x and
/// y in the weight's 16-bit format, several of each, which take turns.
struct W4a16Timing {
  const W4a16Layer* const* layers;  ///< in host memory: copies of a weight, which take turns
  int64_t count;                    ///< of layers
  int64_t m;
  int32_t path, tune;     ///< as in W4a16Product
  int32_t graph;          ///< products are captured in a CUDA graph; else launched one by one
  double seconds;         ///< to spend on packed products, and on dense ones
  double packed_seconds;  ///< result: median of a product
  double
      dense_seconds;  ///< result: … of cuBLASLt's by the dequantized weight, padded inputs and all
};

struct W4a16Api {
  int32_t version;  ///< kW4a16Version, or the table is another one
  /// Number of devices that can run the kernels, and the index of the first of them.
  int32_t (*find_devices)(int32_t* count, int32_t* first);
  /// kW4a16Ok if the device of that index can run the kernels.
  int32_t (*check_device)(int32_t device);
  /// Makes a context on the device of that index; kW4a16Unavailable if it cannot run the kernels.
  int32_t (*create)(int32_t device, W4a16Context** context);
  /// Waits for the context's stream and frees what it owns.
  void (*destroy)(W4a16Context* context);
  /// Copies a weight to the context's device; it must be released before the context is destroyed.
  int32_t (*upload)(W4a16Context* context, const W4a16Weight* weight, W4a16Layer** layer);
  /// Frees a layer.
  void (*release)(W4a16Layer* layer);
  /// Device memory of a layer in bytes, what `prepare` keeps included.
  int64_t (*layer_bytes)(const W4a16Layer* layer);
  /// Keeps the dequantized weight until `forget`, if it is what products of `rows` rows by `path`
  /// are computed from and is not kept already.
  int32_t (*prepare)(W4a16Context* context, W4a16Layer* layer, int64_t rows, int32_t path);
  /// Frees what `prepare` keeps.
  void (*forget)(W4a16Layer* layer);
  /// Queues a product in the context's stream; with `on_host` also waits for it.
  int32_t (*multiply)(W4a16Context* context, const W4a16Layer* layer, const W4a16Product* product);
  /// Waits for all that was queued.
  int32_t (*synchronize)(W4a16Context* context);
  /// Measures the context's device with numbers of format `number`, which takes about a second;
  /// kW4a16Unavailable without cuBLASLt.
  int32_t (*measure)(W4a16Context* context, int32_t number, W4a16Rates* rates);
  /// Fills in the results of `timing`; kW4a16Unavailable without cuBLASLt.
  int32_t (*time_products)(W4a16Context* context, W4a16Timing* timing);
  /// The context's cudaStream_t.
  void* (*stream)(const W4a16Context* context);
  /// Queues the rounding of columns in `stream`, a cudaStream_t of the device of that index; needs
  /// no context.  The calling thread's device stays what it was.
  int32_t (*round_columns)(int32_t device, void* stream, const ptq::DeviceColumns* columns);
  /// Text of the calling thread's last error.
  const char* (*last_error)();
};

constexpr int32_t kW4a16Version = 7;

/// The only symbol that the module exports.
[[gnu::visibility("default")]] const W4a16Api* ptq_w4a16_api();
}
