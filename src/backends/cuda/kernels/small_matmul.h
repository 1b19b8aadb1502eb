#pragma once
#include <cstdint>

#include "arguments.h"
#include "convert.h"

// Kernel S: the product of few tokens with a packed weight, Yᵀ = W Xᵀ.  The weights are operand A
// of mma.m16n8k16, straight from the packed words, the tokens operand B, so that tokens come in
// eights. docs/cuda.md tells the plan; docs/numerics.md bounds the error.
namespace ptq::cuda {

/// Blocks of 8 warps make kTokens by 64 kStrips results: kStrips warps side by side, the others
/// share each slab's inputs.  Grid (channel tiles · splits, token tiles).
template <int kTokens_, int kStrips_, int kStages_>
struct SmallMatmulShape {
  static constexpr int kTokens = kTokens_, kStrips = kStrips_, kStages = kStages_;
  static constexpr int kThreads = 256;
  static constexpr int kBlocksPerProcessor = kTokens <= 16 ? 2 : 1;  ///< that registers allow
  static constexpr int kChannels = kStrips * kStripN;
  static constexpr int kWarpsAlongK = kThreads / kLanes / kStrips;
  static constexpr int kTilesPerWarp = kTilesPerSlab / kWarpsAlongK;
  static constexpr int kBlocks = kTokens / 8;  ///< of eight tokens

  // A stage of the pipeline, in bytes; two rows of scales serve groups of 32.
  static constexpr int kCodes = kStrips * kTilesPerSlab * kTileWords * 4;
  static constexpr int kActivations = kTokens * kSlabK * 2;
  static constexpr int kScaleRow = kChannels * 2;
  static constexpr int kZeroRow = kStrips * kChannelGroups * 4;
  static constexpr int kStageBytes = kCodes + kActivations + 2 * (kScaleRow + kZeroRow);
  // The sums take the place of the stages; the ticket lies behind.
  static constexpr int kSums = sum_offset(kTokens, 0, kChannels);
  static constexpr int kTicket = kStages * kStageBytes > kSums ? kStages* kStageBytes : kSums;
  static constexpr int kSharedBytes = kTicket + 16;
};

/// What a thread works on.
struct SmallMatmulPlace {
  int channel_tile, split, token_tile;
  int warp_strip, warp_k, lane;
  int slab_begin, slab_end;
};

template <class Shape>
PTQ_DEVICE SmallMatmulPlace small_matmul_place(const SmallMatmulArgs& args) {
  SmallMatmulPlace place;
  place.channel_tile = gpu::block_index_x() / args.splits;
  place.split = gpu::block_index_x() % args.splits;
  place.token_tile = gpu::block_index_y();
  const int warp = gpu::thread_index() / kLanes;
  place.lane = gpu::thread_index() % kLanes;
  place.warp_strip = warp % Shape::kStrips;
  place.warp_k = warp / Shape::kStrips;
  const int slabs = args.weight.padded_k / kSlabK;
  place.slab_begin = slabs * place.split / args.splits;
  place.slab_end = slabs * (place.split + 1) / args.splits;
  return place;
}

/// Rows of scales that a slab touches, and the first of them.
PTQ_DEVICE int rows_per_slab(const WeightView& weight) {
  return kTilesPerSlab >> weight.tile_shift == 0 ? 1 : kTilesPerSlab >> weight.tile_shift;
}
PTQ_DEVICE int first_scale_row(const WeightView& weight, int slab) {
  return slab * kTilesPerSlab >> weight.tile_shift;
}

/// Starts the copies of one slab: codes once through the caches, the rest to stay.
template <class Shape>
PTQ_DEVICE void copy_slab(const SmallMatmulArgs& args, const SmallMatmulPlace& place, int slab,
                          uint32_t stage) {
  const WeightView& weight = args.weight;
  const int strips = weight.padded_n / kStripN;
  const uint64_t policy = gpu::streaming_policy();
  constexpr int kPerStrip = kTilesPerSlab * kLanes;
#pragma unroll
  for (int i = gpu::thread_index(); i < Shape::kStrips * kPerStrip; i += Shape::kThreads) {
    const int strip = place.channel_tile * Shape::kStrips + i / kPerStrip;
    const bool valid = strip < strips;
    const int64_t tile =
        int64_t{valid ? strip : 0} * (weight.padded_k / kTileK) + slab * kTilesPerSlab;
    gpu::copy_async_streaming(stage + i * 16, weight.codes + tile * kLanes + i % kPerStrip, valid,
                              policy);
  }
#pragma unroll
  for (int i = gpu::thread_index(); i < Shape::kTokens * 8; i += Shape::kThreads) {
    const int token = place.token_tile * Shape::kTokens + i / 8;
    const bool valid = token < args.m;
    const uint16_t* from =
        args.x + int64_t{valid ? token : 0} * weight.padded_k + slab * kSlabK + i % 8 * 8;
    gpu::copy_async(stage + Shape::kCodes + activation_offset(i / 8, i % 8), from, valid);
  }
  const int rows = rows_per_slab(weight);
  const int64_t row = first_scale_row(weight, slab);
  const uint32_t scales = stage + Shape::kCodes + Shape::kActivations;
  constexpr int kScaleChunks = Shape::kScaleRow / 16;
  for (int i = gpu::thread_index(); i < rows * kScaleChunks; i += Shape::kThreads) {
    const int channel = place.channel_tile * Shape::kChannels + i % kScaleChunks * 8;
    const bool valid = channel < weight.padded_n;
    gpu::copy_async(
        scales + i * 16,
        weight.scales + (row + i / kScaleChunks) * weight.padded_n + (valid ? channel : 0), valid);
  }
  if (weight.zeros == nullptr) return;
  constexpr int kZeroChunks = Shape::kZeroRow / 16;
  for (int i = gpu::thread_index(); i < rows * kZeroChunks; i += Shape::kThreads) {
    const int word = place.channel_tile * Shape::kStrips * kChannelGroups + i % kZeroChunks * 4;
    const bool valid = word < weight.padded_n / kChannelGroups;
    gpu::copy_async(scales + 2 * Shape::kScaleRow + i * 16,
                    weight.zeros + (row + i / kZeroChunks) * (weight.padded_n / kChannelGroups) +
                        (valid ? word : 0),
                    valid);
  }
}

/// A thread's sums: 16 channels a word of its tile by eight tokens a block, as fragments C.
template <class Shape>
struct SmallMatmulSums {
  float value[kWordsPerLane][Shape::kBlocks][4];
};

template <class Shape>
PTQ_DEVICE void load_tokens(uint32_t (&tokens)[Shape::kBlocks][2], uint32_t activations, int tile,
                            int lane) {
  if constexpr (Shape::kBlocks == 1) {
    gpu::load_matrices2(tokens[0],
                        activations + activation_offset(lane % 8, tile * 2 + lane / 8 % 2));
  } else {
#pragma unroll
    for (int block = 0; block < Shape::kBlocks; block += 2) {
      uint32_t matrices[4];
      gpu::load_matrices4(matrices,
                          activations + activation_offset(block * 8 + lane / 16 * 8 + lane % 8,
                                                          tile * 2 + lane / 8 % 2));
      tokens[block][0] = matrices[0];
      tokens[block][1] = matrices[1];
      tokens[block + 1][0] = matrices[2];
      tokens[block + 1][1] = matrices[3];
    }
  }
}

/// Adds a tile's products.
template <class T, class Shape>
PTQ_DEVICE void multiply_tile(SmallMatmulSums<Shape>& sums, const Word4& codes,
                              const LaneScales& scales,
                              const uint32_t (&tokens)[Shape::kBlocks][2]) {
#pragma unroll
  for (int word = 0; word < kWordsPerLane; ++word) {
    // Registers of operand A: channels n and n + 8 at inputs below 8, then from 8 on.
    uint32_t a[4];
#pragma unroll
    for (int pair = 0; pair < 4; ++pair) {
      const int j = word * 2 + pair / 2;
      a[pair % 2 * 2 + pair / 2] =
          dequantize_pair<T>(codes.word[word] >> (4 * pair), scales.scale[j], scales.bias[j]);
    }
#pragma unroll
    for (int block = 0; block < Shape::kBlocks; ++block) {
      gpu::multiply_add<T>(sums.value[word][block], a, tokens[block]);
    }
  }
}

/// Adds a slab's products; `held_row` is the row of scales that `scales` holds.
template <class T, class Shape>
PTQ_DEVICE void multiply_slab(SmallMatmulSums<Shape>& sums, const SmallMatmulArgs& args,
                              const SmallMatmulPlace& place, int slab, uint32_t stage,
                              LaneScales& scales, int& held_row) {
  const uint32_t scale_rows = stage + Shape::kCodes + Shape::kActivations;
  const int group_lane = place.lane / 4;
#pragma unroll
  for (int i = 0; i < Shape::kTilesPerWarp; ++i) {
    const int tile = place.warp_k * Shape::kTilesPerWarp + i;
    const int row = (slab * kTilesPerSlab + tile) >> args.weight.tile_shift;
    const int row_in_slab = row - first_scale_row(args.weight, slab);
    if (row != held_row) {
      const Word4 packed = gpu::load_shared4(scale_rows + row_in_slab * Shape::kScaleRow +
                                             place.warp_strip * kStripN * 2 + group_lane * 16);
      const uint32_t zeros =
          args.weight.zeros == nullptr
              ? kSymmetricZeros
              : gpu::load_shared(scale_rows + 2 * Shape::kScaleRow + row_in_slab * Shape::kZeroRow +
                                 (place.warp_strip * kChannelGroups + group_lane) * 4);
      set_scales<T>(scales, packed, zeros);
      held_row = row;
    }
    const Word4 codes = gpu::load_shared4(
        stage + ((place.warp_strip * kTilesPerSlab + tile) * kLanes + place.lane) * 16);
    uint32_t tokens[Shape::kBlocks][2];
    load_tokens<Shape>(tokens, stage + Shape::kCodes, tile, place.lane);
    multiply_tile<T, Shape>(sums, codes, scales, tokens);
  }
}

}  // namespace ptq::cuda
