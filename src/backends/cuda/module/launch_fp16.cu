#include "launch_kernels.h"

namespace ptq::cuda {

const Kernels& kernels_fp16() {
  static const KernelsOf<Fp16> kKernels;
  return kKernels;
}

}  // namespace ptq::cuda
