#pragma once
#include <cstdint>

#include "small_matmul.h"

namespace ptq::cuda {

/// Adds the sums of the warps that shared the slabs, in their order, in shared memory.
template <class Shape>
PTQ_DEVICE void gather_sums(const SmallMatmulSums<Shape>& sums, const SmallMatmulPlace& place) {
  const uint32_t shared = gpu::shared_memory();
  for (int turn = 0; turn < Shape::kWarpsAlongK; ++turn) {
    if (turn == place.warp_k) {
#pragma unroll
      for (int word = 0; word < kWordsPerLane; ++word) {
#pragma unroll
        for (int block = 0; block < Shape::kBlocks; ++block) {
#pragma unroll
          for (int i = 0; i < 4; ++i) {
            const int row = place.lane / 4 + i / 2 * 8;  // fragment C, see fragments.h
            const int column = place.lane % 4 * 2 + i % 2;
            const uint32_t address =
                shared + sum_offset(block * 8 + column,
                                    place.warp_strip * kStripN + word * 16 + row, Shape::kChannels);
            const float before = turn == 0 ? 0.0F : gpu::load_shared_float(address);
            gpu::store_shared_float(address, before + sums.value[word][block][i]);
          }
        }
      }
    }
    gpu::sync_threads();
  }
}

/// Writes the block's sums beside those of the other splits.  True for the last block of a tile,
/// which then sees all of them.
template <class Shape>
PTQ_DEVICE bool share_sums(const SmallMatmulArgs& args, int tile, int split, int tokens) {
  const uint32_t shared = gpu::shared_memory();
  constexpr int kTile = Shape::kTokens * Shape::kChannels;
  float* partial = args.partial_sums + (int64_t{tile} * args.splits + split) * kTile;
  for (int i = gpu::thread_index(); i < tokens * Shape::kChannels; i += Shape::kThreads) {
    partial[i] = gpu::load_shared_float(
        shared + sum_offset(i / Shape::kChannels, i % Shape::kChannels, Shape::kChannels));
  }
  gpu::fence();
  gpu::sync_threads();
  if (gpu::thread_index() == 0) {
    const int ticket = gpu::atomic_add(&args.tickets[tile], 1);
    const bool last = ticket == args.splits - 1;
    if (last) args.tickets[tile] = 0;  // for the next launch
    gpu::fence();
    gpu::store_shared(shared + Shape::kTicket, last ? 1 : 0);
  }
  gpu::sync_threads();
  return gpu::load_shared(shared + Shape::kTicket) != 0;
}

/// A channel's sparse sums of one token, in the order of its pieces.
PTQ_DEVICE float sparse_sum(const SmallMatmulArgs& args, int token, int channel) {
  float sum = 0;
  const int end = args.weight.first_piece[channel + 1];
  for (int piece = args.weight.first_piece[channel]; piece < end; ++piece) {
    sum += args.out.sparse_sums[int64_t{piece} * args.m + token];
  }
  return sum;
}

template <class T>
PTQ_DEVICE void write_result(const SmallMatmulArgs& args, int token, int channel, float sum) {
  if (args.out.sparse_sums != nullptr) sum += sparse_sum(args, token, channel);
  if (args.out.bias != nullptr) sum += args.out.bias[channel];
  const int64_t place = token * args.out.stride + channel;
  if (args.out.y_is_float) {
    static_cast<float*>(args.out.y)[place] = sum;
  } else {
    static_cast<uint16_t*>(args.out.y)[place] = gpu::round_to<T>(sum);
  }
}

/// From the block's sums in shared memory to the result: directly, or by the last of a tile's
/// blocks, which adds the splits in their order, so that the result does not depend on who is last.
template <class T, class Shape>
PTQ_DEVICE void write_results(const SmallMatmulArgs& args, const SmallMatmulPlace& place) {
  const int first_token = place.token_tile * Shape::kTokens;
  const int first_channel = place.channel_tile * Shape::kChannels;
  const int tokens = args.m - first_token < Shape::kTokens ? args.m - first_token : Shape::kTokens;
  const int channel_tiles = gpu::grid_size_x() / args.splits;
  const int tile = place.token_tile * channel_tiles + place.channel_tile;
  if (args.splits > 1 && !share_sums<Shape>(args, tile, place.split, tokens)) return;
  constexpr int kTile = Shape::kTokens * Shape::kChannels;
  for (int i = gpu::thread_index(); i < tokens * Shape::kChannels; i += Shape::kThreads) {
    const int token = i / Shape::kChannels;
    const int channel = i % Shape::kChannels;
    if (first_channel + channel >= args.weight.n) continue;
    float sum = 0;
    if (args.splits == 1) {
      sum = gpu::load_shared_float(gpu::shared_memory() +
                                   sum_offset(token, channel, Shape::kChannels));
    } else {
      const float* partial = args.partial_sums + int64_t{tile} * args.splits * kTile + i;
#pragma unroll 4
      for (int split = 0; split < args.splits; ++split) {
        sum += gpu::load_global_float(partial + int64_t{split} * kTile);
      }
    }
    write_result<T>(args, first_token + token, first_channel + channel, sum);
  }
}

template <class T, class Shape>
PTQ_DEVICE void small_matmul_kernel(const SmallMatmulArgs& args) {
  const SmallMatmulPlace place = small_matmul_place<Shape>(args);
  const uint32_t shared = gpu::shared_memory();
  const int slabs = place.slab_end - place.slab_begin;
  SmallMatmulSums<Shape> sums = {};
  LaneScales scales;
  int held_row = -1;
  // One group of copies a slab, also an empty one, so that waiting counts slabs.
#pragma unroll 1
  for (int i = 0; i < Shape::kStages - 1; ++i) {
    if (i < slabs) {
      copy_slab<Shape>(args, place, place.slab_begin + i, shared + i * Shape::kStageBytes);
    }
    gpu::commit_copies();
  }
  int stage = 0;
#pragma unroll 1
  for (int i = 0; i < slabs; ++i) {
    gpu::wait_copies<Shape::kStages - 2>();
    // Now the slab is there for all, and nobody reads the stage before it any more.
    gpu::sync_threads();
    const int next = stage == 0 ? Shape::kStages - 1 : stage - 1;
    if (i + Shape::kStages - 1 < slabs) {
      copy_slab<Shape>(args, place, place.slab_begin + i + Shape::kStages - 1,
                       shared + next * Shape::kStageBytes);
    }
    gpu::commit_copies();
    multiply_slab<T, Shape>(sums, args, place, place.slab_begin + i,
                            shared + stage * Shape::kStageBytes, scales, held_row);
    stage = stage == Shape::kStages - 1 ? 0 : stage + 1;
  }
  gpu::wait_copies<0>();
  gpu::sync_threads();
  gather_sums<Shape>(sums, place);
  write_results<T, Shape>(args, place);
}

/// The shapes that are built, by tokens.
using SmallMatmul8 = SmallMatmulShape<8, 2, 8>;
using SmallMatmul16 = SmallMatmulShape<16, 2, 6>;
using SmallMatmul32 = SmallMatmulShape<32, 4, 5>;
using SmallMatmul64 = SmallMatmulShape<64, 4, 4>;

}  // namespace ptq::cuda
