#pragma once
#include <stdexcept>
#include <string>

#include <cuda_runtime_api.h>

#include "w4a16_api.h"

namespace ptq::cuda {

/// What ends a call of the module; turned into a status and a text at its border.
struct Failure : std::runtime_error {
  Failure(W4a16Status code, const std::string& text) : std::runtime_error(text), status(code) {}
  W4a16Status status;
};

/// Throws Failure unless `error` is success; `what` was being done.
inline void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  cudaGetLastError();  // errors that are not sticky must not meet the next call
  W4a16Status status = kW4a16Failure;
  if (error == cudaErrorMemoryAllocation) status = kW4a16OutOfMemory;
  if (error == cudaErrorNoDevice || error == cudaErrorInsufficientDriver) {
    status = kW4a16Unavailable;
  }
  throw Failure(status, std::string(what) + ": " + cudaGetErrorString(error));
}

}  // namespace ptq::cuda
