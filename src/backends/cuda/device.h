#pragma once
#include "annotations.h"
#include "device_types.h"

// What the kernels may use of a GPU, and nothing else: kernels/ is written against the functions of
// namespace gpu, which PTX instructions implement for nvcc and, for the host compiler, whatever
// emulation the including target provides (tests/backends/cuda/emulator).
#if defined(__CUDACC__)
#include "device_ptx.h"
#else
#include "emulator/device_emulated.h"
#endif
