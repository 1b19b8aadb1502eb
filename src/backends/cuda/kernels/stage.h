#pragma once
#include <cstdint>

#include "../device.h"
#include "arguments.h"

namespace ptq::cuda {

/// A thread writes eight values of one row: grid (⌈padded_k / 8 / kStageThreads⌉, m).
constexpr int kStageThreads = 128;

template <class T>
PTQ_DEVICE uint32_t as_number(float value) {
  return gpu::round_to<T>(value);
}
template <class T>
PTQ_DEVICE uint32_t as_number(uint16_t value) {
  return value;
}

/// In is float, or uint16_t for values that are T's already.
template <class T, class In>
PTQ_DEVICE void stage_kernel(const StageArgs<In>& args) {
  const int first = (gpu::block_index_x() * kStageThreads + gpu::thread_index()) * 8;
  if (first >= args.padded_k) return;
  const int64_t row = gpu::block_index_y();
  Word4 out;
#pragma unroll
  for (int i = 0; i < 8; i += 2) {
    uint32_t half[2];
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      const int place = first + i + j;
      const int input = args.order == nullptr ? place : args.order[place];
      half[j] = place < args.k ? as_number<T>(args.x[row * args.stride + input]) : 0;
    }
    out.word[i / 2] = half[0] | half[1] << 16;
  }
  *reinterpret_cast<Word4*>(args.out + row * args.padded_k + first) = out;
}

}  // namespace ptq::cuda
