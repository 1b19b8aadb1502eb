#pragma once

// How nvcc is told for which side a function is compiled; the host compiler knows no sides.
#if defined(__CUDACC__)
#define PTQ_DEVICE __device__ __forceinline__
#define PTQ_HOST_DEVICE __host__ __device__ __forceinline__
#else
#define PTQ_DEVICE inline
#define PTQ_HOST_DEVICE inline
#endif
