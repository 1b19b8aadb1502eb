#pragma once
#include <cstdint>

#include "device.h"

// The functions of device.h as PTX, for compute capability 8.0 and later.
namespace ptq::cuda::gpu {

PTQ_DEVICE int thread_index() {
  return static_cast<int>(threadIdx.x);
}
PTQ_DEVICE int block_index_x() {
  return static_cast<int>(blockIdx.x);
}
PTQ_DEVICE int block_index_y() {
  return static_cast<int>(blockIdx.y);
}
PTQ_DEVICE int grid_size_x() {
  return static_cast<int>(gridDim.x);
}

/// All threads of the block meet; what any wrote before is seen by all after.
PTQ_DEVICE void sync_threads() {
  __syncthreads();
}
/// The threads of a warp meet.
PTQ_DEVICE void sync_warp() {
  __syncwarp();
}
/// Orders this thread's writes to global memory before what it does next, for all blocks.
PTQ_DEVICE void fence() {
  __threadfence();
}
PTQ_DEVICE int atomic_add(int* address, int value) {
  return atomicAdd(address, value);
}

/// Address of the block's dynamic shared memory, aligned to 16 bytes.
PTQ_DEVICE uint32_t shared_memory() {
  extern __shared__ Word4 dynamic_shared_memory[];
  return static_cast<uint32_t>(__cvta_generic_to_shared(dynamic_shared_memory));
}
PTQ_DEVICE uint32_t load_shared(uint32_t address) {
  uint32_t value;
  asm volatile("ld.shared.b32 %0, [%1];" : "=r"(value) : "r"(address) : "memory");
  return value;
}
PTQ_DEVICE Word4 load_shared4(uint32_t address) {
  Word4 value;
  asm volatile("ld.shared.v4.b32 {%0, %1, %2, %3}, [%4];"
               : "=r"(value.word[0]), "=r"(value.word[1]), "=r"(value.word[2]), "=r"(value.word[3])
               : "r"(address)
               : "memory");
  return value;
}
PTQ_DEVICE void store_shared(uint32_t address, uint32_t value) {
  asm volatile("st.shared.b32 [%0], %1;" ::"r"(address), "r"(value) : "memory");
}
PTQ_DEVICE float load_shared_float(uint32_t address) {
  return __uint_as_float(load_shared(address));
}
PTQ_DEVICE void store_shared_float(uint32_t address, float value) {
  store_shared(address, __float_as_uint(value));
}

/// Starts copying 16 bytes to shared memory (16 zero bytes if not `valid`).
PTQ_DEVICE void copy_async(uint32_t to, const void* from, bool valid) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to),
               "l"(__cvta_generic_to_global(from)), "r"(valid ? 16 : 0)
               : "memory");
}
/// The L2 policy for what is read once.
PTQ_DEVICE uint64_t streaming_policy() {
  uint64_t policy;
  asm("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(policy));
  return policy;
}
PTQ_DEVICE void copy_async_streaming(uint32_t to, const void* from, bool valid, uint64_t policy) {
  asm volatile("cp.async.cg.shared.global.L2::cache_hint [%0], [%1], 16, %2, %3;" ::"r"(to),
               "l"(__cvta_generic_to_global(from)), "r"(valid ? 16 : 0), "l"(policy)
               : "memory");
}
/// Starts copying 4 bytes to shared memory (4 zero bytes if not `valid`).
PTQ_DEVICE void copy_async_word(uint32_t to, const void* from, bool valid) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(to),
               "l"(__cvta_generic_to_global(from)), "r"(valid ? 4 : 0)
               : "memory");
}
/// Ends a group of copies.
PTQ_DEVICE void commit_copies() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}
/// Waits until at most kPending groups of this thread's copies are under way.
template <int kPending>
PTQ_DEVICE void wait_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
}

/// Four 8 x 8 matrices of 16-bit values; lane 8 i + r gives the address of row r of matrix i.
PTQ_DEVICE void load_matrices4(uint32_t (&matrix)[4], uint32_t row_address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(matrix[0]), "=r"(matrix[1]), "=r"(matrix[2]), "=r"(matrix[3])
               : "r"(row_address)
               : "memory");
}
/// Two of them; the addresses of lanes 16 and up do not count.
PTQ_DEVICE void load_matrices2(uint32_t (&matrix)[2], uint32_t row_address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];"
               : "=r"(matrix[0]), "=r"(matrix[1])
               : "r"(row_address)
               : "memory");
}

/// sum [16, 8] += a [16, 16] b [16, 8] in float32 (fragments.h tells who holds what).
template <class T>
PTQ_DEVICE void multiply_add(float (&sum)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  if constexpr (T::kNumber == Number::kFp16) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  } else {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  }
}

/// a b + c on both halves, rounded once.
template <class T>
PTQ_DEVICE uint32_t fused_multiply_add(uint32_t a, uint32_t b, uint32_t c) {
  uint32_t result;
  if constexpr (T::kNumber == Number::kFp16) {
    asm("fma.rn.f16x2 %0, %1, %2, %3;" : "=r"(result) : "r"(a), "r"(b), "r"(c));
  } else {
    asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(result) : "r"(a), "r"(b), "r"(c));
  }
  return result;
}
/// a b + c, rounded once.
PTQ_DEVICE float fused_multiply_add(float a, float b, float c) {
  return __fmaf_rn(a, b, c);
}
PTQ_DEVICE float as_float(uint32_t bits) {
  return __uint_as_float(bits);
}
/// (value & mask) | bits as one instruction.
PTQ_DEVICE uint32_t mask_or(uint32_t value, uint32_t mask, uint32_t bits) {
  uint32_t result;
  asm("lop3.b32 %0, %1, %2, %3, 0xEA;" : "=r"(result) : "r"(value), "r"(mask), "r"(bits));
  return result;
}

/// `value` rounded to T.
template <class T>
PTQ_DEVICE uint16_t round_to(float value) {
  uint16_t result;
  if constexpr (T::kNumber == Number::kFp16) {
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(result) : "f"(value));
  } else {
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(result) : "f"(value));
  }
  return result;
}
template <class T>
PTQ_DEVICE float widen(uint16_t value) {
  float result;
  if constexpr (T::kNumber == Number::kFp16) {
    asm("cvt.f32.f16 %0, %1;" : "=f"(result) : "h"(value));
  } else {
    result = __uint_as_float(static_cast<uint32_t>(value) << 16);
  }
  return result;
}

/// The value of the lane whose number differs by `mask`; all 32 lanes call it.
PTQ_DEVICE float shuffle_xor(float value, int mask) {
  return __shfl_xor_sync(0xFFFFFFFFU, value, mask);
}

/// Sixteen bytes of global memory that no kernel writes meanwhile.
PTQ_DEVICE Word4 load_constant4(const void* address) {
  Word4 value;
  asm("ld.global.nc.v4.b32 {%0, %1, %2, %3}, [%4];"
      : "=r"(value.word[0]), "=r"(value.word[1]), "=r"(value.word[2]), "=r"(value.word[3])
      : "l"(__cvta_generic_to_global(address)));
  return value;
}
/// One value of global memory that no kernel writes meanwhile.
template <class Value>
PTQ_DEVICE Value load_constant(const Value* address) {
  return __ldg(address);
}
/// What other blocks of this launch wrote: not from this multiprocessor's own cache.
PTQ_DEVICE float load_global_float(const float* address) {
  return __ldcg(address);
}

}  // namespace ptq::cuda::gpu
