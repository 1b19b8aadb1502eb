#include "launch_kernels.h"

namespace ptq::cuda {

const Kernels& kernels_bf16() {
  static const KernelsOf<Bf16> kKernels;
  return kKernels;
}

}  // namespace ptq::cuda
