#pragma once
#include <cstdint>

#include "arguments.h"
#include "convert.h"

// Kernel L, first part: the packed weight as a plain 16-bit matrix for a library's matrix product.
namespace ptq::cuda {

/// One block writes 64 channels by 64 inputs: grid (padded_k / 64, strips), 128 threads.
struct DequantizeShape {
  static constexpr int kThreads = 128;
  static constexpr int kSharedBytes = dense_offset(kStripN, 0);
};

PTQ_DEVICE uint32_t zeros_at(const WeightView& weight, int64_t row, int word) {
  return weight.zeros == nullptr ? kSymmetricZeros
                                 : weight.zeros[row * (weight.padded_n / kChannelGroups) + word];
}

/// A warp dequantizes a tile whose inputs lie in order.
template <class T>
PTQ_DEVICE void dequantize_tile(const WeightView& weight, int strip, int slab) {
  const int tile = gpu::thread_index() / kLanes;
  const int lane = gpu::thread_index() % kLanes;
  const int group_lane = lane / 4;
  const int64_t tiles = weight.padded_k / kTileK;
  const int64_t first = (strip * tiles + slab * kTilesPerSlab + tile) * kLanes;
  const Word4 codes = gpu::load_constant4(weight.codes + first + lane);
  const int64_t row = (slab * kTilesPerSlab + tile) >> weight.tile_shift;
  LaneScales scales;
  set_scales<T>(scales,
                strip_scales(weight.scales, row, weight.padded_n, strip * kStripN + group_lane * 8),
                zeros_at(weight, row, strip * kChannelGroups + group_lane));
#pragma unroll
  for (int word = 0; word < kWordsPerLane; ++word) {
#pragma unroll
    for (int pair = 0; pair < 4; ++pair) {
      const TilePlace place = tile_place(lane, word, pair);
      const int j = place.n / kChannelGroups;
      gpu::store_shared(
          gpu::shared_memory() + dense_offset(place.n, tile * kTileK + place.k),
          dequantize_pair<T>(codes.word[word] >> (4 * pair), scales.scale[j], scales.bias[j]));
    }
  }
}

/// What one lane needs of one input: its codes of eight channels, their scales and zero points.
struct InputColumn {
  Word4 codes, scales;
  uint32_t zeros;
  int shift;
};

PTQ_DEVICE InputColumn input_column(const WeightView& weight, int strip, int input,
                                    int group_lane) {
  const int position = weight.position[input];
  const int in_tile = position % kTileK;
  const int64_t tile = strip * (weight.padded_k / kTileK) + position / kTileK;
  const int64_t row = position / kTileK >> weight.tile_shift;
  InputColumn column;
  column.codes = gpu::load_constant4(weight.codes + tile * kLanes + lane_of(in_tile, group_lane));
  column.scales =
      strip_scales(weight.scales, row, weight.padded_n, strip * kStripN + group_lane * 8);
  column.zeros = zeros_at(weight, row, strip * kChannelGroups + group_lane);
  column.shift = 4 * nibble_of(in_tile, group_lane);
  return column;
}

/// A warp dequantizes the inputs 16 · warp and on of the slab from wherever activation order has
/// put them: a gather of codes, so that the rows of the result are written whole.
template <class T>
PTQ_DEVICE void dequantize_gathered(const WeightView& weight, int strip, int slab) {
  const int lane = gpu::thread_index() % kLanes;
  const int group_lane = lane / 4;
  for (int half = 0; half < 2; ++half) {
    const int k = gpu::thread_index() / kLanes * kTileK + half * 8 + lane % 4 * 2;
    const InputColumn low = input_column(weight, strip, slab * kSlabK + k, group_lane);
    const InputColumn high = input_column(weight, strip, slab * kSlabK + k + 1, group_lane);
#pragma unroll
    for (int j = 0; j < 8; ++j) {
      const int nibble = j % 2 * 8;  // two pairs on for channels n + 8
      const uint32_t codes = (low.codes.word[j / 2] >> (low.shift + nibble) & 15U) |
                             (high.codes.word[j / 2] >> (high.shift + nibble) & 15U) << 16;
      const uint32_t scale = (low.scales.word[j / 2] >> (16 * (j % 2)) & 0xFFFFU) |
                             high.scales.word[j / 2] >> (16 * (j % 2)) << 16;
      const uint32_t bias = zero_bias<T>(low.zeros >> (4 * j) & 15U, high.zeros >> (4 * j) & 15U);
      gpu::store_shared(gpu::shared_memory() + dense_offset(8 * j + group_lane, k),
                        dequantize_pair<T>(codes, scale, bias));
    }
  }
}

template <class T>
PTQ_DEVICE void dequantize_kernel(const DequantizeArgs& args) {
  const WeightView& weight = args.weight;
  const int slab = gpu::block_index_x();
  const int strip = args.first_strip + gpu::block_index_y();
  if (weight.position == nullptr) {
    dequantize_tile<T>(weight, strip, slab);
  } else {
    dequantize_gathered<T>(weight, strip, slab);
  }
  gpu::sync_threads();
  constexpr int kChunks = kSlabK / 8;
  for (int i = gpu::thread_index(); i < kStripN * kChunks; i += DequantizeShape::kThreads) {
    const int channel = i / kChunks;
    const int k = i % kChunks * 8;
    if (strip * kStripN + channel >= weight.n) continue;
    const int64_t out_row = static_cast<int64_t>(gpu::block_index_y()) * kStripN + channel;
    auto* out = reinterpret_cast<Word4*>(args.out + out_row * weight.padded_k + slab * kSlabK + k);
    *out = gpu::load_shared4(gpu::shared_memory() + dense_offset(channel, k));
  }
}

PTQ_DEVICE void inject_kernel(const InjectArgs& args) {
  const WeightView& weight = args.weight;
  const int warp = gpu::thread_index() / kLanes;
  const int row = gpu::block_index_x() * (InjectArgs::kThreads / kLanes) + warp;
  if (row >= args.channels) return;
  const int32_t* piece = weight.first_piece + args.first_channel + row;
  const int32_t end = weight.piece_begin[piece[1]];
  for (int32_t i = weight.piece_begin[piece[0]] + gpu::thread_index() % kLanes; i < end;
       i += kLanes) {
    const int32_t position = weight.sparse_positions[i];
    const int32_t input = weight.order == nullptr ? position : weight.order[position];
    args.out[static_cast<int64_t>(row) * weight.padded_k + input] = weight.sparse_values[i];
  }
}

}  // namespace ptq::cuda
