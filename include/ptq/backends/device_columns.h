#pragma once
#include <cstdint>
#include <optional>
#include <string>

namespace ptq {

/// Some consecutive columns, in solving order, of all rows of a weight in the memory of a CUDA
/// device, which GPTQ rounds one after the other and feeds each one's error forward to those after
/// it.  Plain C types: this is also what the module of kernels takes.
struct DeviceColumns {
  static constexpr int64_t kMost = 128;  ///< columns

  const float* weight;    ///< [rows, in] in its own column order
  const float* update;    ///< [rows, count] fed forward by earlier columns, or null
  const float* feedback;  ///< R of these columns, above its diagonal: [count] rows of `in` values
  int64_t rows;
  int64_t in;            ///< columns of weight, q and miss; values from row to row of feedback
  int64_t first, count;  ///< the columns in solving order
  const int64_t* order;  ///< [count] their places in the weight
  const int32_t* group;  ///< [count] their groups
  const float* pivot;    ///< [count]
  const float* added;    ///< [count]
  const float* scale;    ///< [rows, groups] float16 values
  const uint8_t* zero;   ///< [rows, groups]
  int64_t groups;
  float top;      ///< the highest code
  uint8_t* q;     ///< [rows, in] in the weight's own column order
  float* miss;    ///< [rows, in] w − q in solving order
  double* error;  ///< [rows] Σ pivot·(rounding error)² − Σ added·miss² is added
};

/// Why round_columns_on_device cannot use the CUDA device of that index, or nothing.
std::optional<std::string> device_columns_unavailable(int device);

/// Queues q_k = round(w_k + Σ_{j<k} (w_j − q_j) R_jk) for `columns` in `stream`, a cudaStream_t of
/// device `device` (null: its default stream), and returns without waiting; the arithmetic is
/// float32 with one fused multiply-add a term, in the order of j.  The pointers and the stream may
/// be those of another user of CUDA's run-time library in this process, such as LibTorch.  Throws
/// UnsupportedError where the device cannot be used, std::logic_error for sizes that make no sense,
/// Error for what CUDA reports.
void round_columns_on_device(int device, void* stream, const DeviceColumns& columns);

}  // namespace ptq
