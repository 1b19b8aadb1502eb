#pragma once
#include <cstdint>

#include <cuda_runtime_api.h>

#include "kernels/arguments.h"
#include "ptq/backends/device_columns.h"
#include "small_matmul_plan.h"

// Launches of the kernels.  All throw Failure.
namespace ptq::cuda {

/// The kernels for one number format.
class Kernels {
 public:
  virtual ~Kernels() = default;

  /// Asks for the shared memory that kernel S needs on the current device.
  virtual void prepare_device() const = 0;
  virtual void dequantize(const DequantizeArgs& args, int strips, cudaStream_t stream) const = 0;
  virtual void inject(const InjectArgs& args, cudaStream_t stream) const = 0;
  virtual void stage(const StageArgs<float>& args, int m, cudaStream_t stream) const = 0;
  virtual void stage(const StageArgs<uint16_t>& args, int m, cudaStream_t stream) const = 0;
  virtual void sparse(const SparseArgs& args, cudaStream_t stream) const = 0;
  virtual void small_matmul(const SmallMatmulArgs& args, const SmallMatmulPlan& plan,
                            cudaStream_t stream) const = 0;
};

const Kernels& kernels_fp16();
const Kernels& kernels_bf16();

/// GPTQ's columns, which know no 16-bit format: at least one row and one column.
void launch_round_columns(const DeviceColumns& columns, cudaStream_t stream);

}  // namespace ptq::cuda
