#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <tuple>

#include <cuda_runtime_api.h>

#include "device_buffer.h"
#include "number.h"

namespace ptq::cuda {

/// y [m, n] = x [m, k] wᵀ, w [n, k]: all row by row with the given strides.
struct DenseProduct {
  Number number;  ///< of x and w
  const uint16_t* x;
  const uint16_t* w;
  void* y;
  bool y_is_float;  ///< else `number`
  int64_t m, n, k;
  int64_t y_stride;  ///< x and w have k values a row
};

struct CublasLtFunctions;

/// The matrix product of cuBLASLt, whose library is loaded when the first object is made.
class CublasLt {
 public:
  /// Throws Failure (kW4a16Unavailable) if the library is not there.
  CublasLt();
  ~CublasLt();
  CublasLt(const CublasLt&) = delete;
  CublasLt& operator=(const CublasLt&) = delete;

  /// Queues the product, summed in float32, by the algorithm that cuBLASLt proposes first.  With
  /// `tune`, and from then on for products of this shape, by the one of its proposals that was
  /// fastest when they were timed; the first such call waits for them.  Throws Failure.
  void multiply(const DenseProduct& product, bool tune, cudaStream_t stream);

 private:
  struct Plan;
  using Key = std::tuple<int32_t, bool, int64_t, int64_t, int64_t, int64_t>;

  Plan& plan_of(const DenseProduct& product);
  void tune(Plan& plan, const DenseProduct& product, cudaStream_t stream);
  void run(const Plan& plan, const DenseProduct& product, cudaStream_t stream);

  const CublasLtFunctions& functions_;
  void* handle_ = nullptr;
  DeviceBuffer workspace_;
  std::map<Key, std::unique_ptr<Plan>> plans_;
};

}  // namespace ptq::cuda
