#pragma once
#include <cuda_runtime_api.h>

#include "ptq/backends/device_columns.h"

namespace ptq::cuda {

/// Queues the rounding of `columns` in `stream` of `device`.  Throws Failure.
void round_columns(int device, cudaStream_t stream, const DeviceColumns& columns);

}  // namespace ptq::cuda
