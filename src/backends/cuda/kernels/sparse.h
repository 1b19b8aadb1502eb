#pragma once
#include <cstdint>

#include "../device.h"
#include "../layout.h"
#include "arguments.h"

namespace ptq::cuda {

/// A warp a piece, SparseArgs::kThreads threads a block.  A lane has at most two values of a piece;
/// the lanes' sums meet in a fixed tree.
template <class T>
PTQ_DEVICE void sparse_kernel(const SparseArgs& args) {
  const WeightView& weight = args.weight;
  const int lane = gpu::thread_index() % kLanes;
  const int piece =
      gpu::block_index_x() * (SparseArgs::kThreads / kLanes) + gpu::thread_index() / kLanes;
  if (piece >= weight.pieces) return;
  const int32_t end = weight.piece_begin[piece + 1];
  float value[2];
  int32_t position[2];
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const int32_t index = weight.piece_begin[piece] + i * kLanes + lane;
    value[i] = index < end ? gpu::widen<T>(weight.sparse_values[index]) : 0.0F;
    position[i] = index < end ? weight.sparse_positions[index] : -1;
  }
#pragma unroll 4
  for (int token = 0; token < args.m; ++token) {
    const uint16_t* x = args.x + static_cast<int64_t>(token) * weight.padded_k;
    float sum = 0;
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      if (position[i] >= 0) sum += value[i] * gpu::widen<T>(x[position[i]]);
    }
#pragma unroll
    for (int mask = kLanes / 2; mask > 0; mask /= 2) {
      sum += gpu::shuffle_xor(sum, mask);
    }
    if (lane == 0) args.sums[static_cast<int64_t>(piece) * args.m + token] = sum;
  }
}

}  // namespace ptq::cuda
