#pragma once
#include <cstdint>

#include "annotations.h"

// Where everything lies in a packed 4-bit weight W [n, k] (n output channels, k inputs), and in the
// shared memory of the kernels that read it.  docs/cuda.md draws it.  Every map is constexpr, for
// host and device, so that tests can prove it without a GPU.
namespace ptq::cuda {

constexpr int kTileK = 16;   ///< inputs of a tile: the depth of one mma.m16n8k16
constexpr int kStripN = 64;  ///< channels of a tile and of a strip of tiles
constexpr int kSlabK = 64;   ///< inputs that a kernel takes per step; k is padded to a multiple
constexpr int kTilesPerSlab = kSlabK / kTileK;
constexpr int kLanes = 32;
constexpr int kWordsPerLane = 4;  ///< 16 bytes of a tile belong to a lane
constexpr int kTileWords = kLanes * kWordsPerLane;
constexpr int kChannelGroups = 8;  ///< channels n with one n % 8 share lanes, scales and zeros
constexpr int kSymmetricZero = 8;

/// `value` rounded up to a multiple of `step`.
PTQ_HOST_DEVICE constexpr int64_t round_up(int64_t value, int64_t step) {
  return (value + step - 1) / step * step;
}

/// The lane whose registers hold the weight (input k, channel n) of a tile; k < 16, n < 64.
PTQ_HOST_DEVICE constexpr int lane_of(int k, int n) {
  return (n % kChannelGroups) * 4 + (k % 8) / 2;
}
/// The lane's word that holds it: one word for 16 channels, the rows of one mma operand A.
PTQ_HOST_DEVICE constexpr int word_of(int n) {
  return n / 16;
}
/// The nibble of the word.  Neighbours k, k + 1 lie 16 bits apart, so that `(word >> 4 j) &
/// 0x000f000f` is the pair j as two 16-bit halves: j = 0, 1 for k < 8 and k >= 8 of channels n,
/// j = 2, 3 of channels n + 8.
PTQ_HOST_DEVICE constexpr int nibble_of(int k, int n) {
  return (n / 8) % 2 * 2 + k / 8 + 4 * (k % 2);
}

/// A place in a tile and back: the input and the channel of a nibble.
struct TilePlace {
  int k, n;
};
PTQ_HOST_DEVICE constexpr TilePlace tile_place(int lane, int word, int nibble) {
  return {lane % 4 * 2 + nibble / 4 + 8 * (nibble % 2),
          word * 16 + 8 * (nibble % 4 / 2) + lane / 4};
}

/// The 32-bit word of the packed codes that holds (k, n), of a weight with `padded_k` inputs.
PTQ_HOST_DEVICE constexpr int64_t code_word(int64_t k, int64_t n, int64_t padded_k) {
  const int64_t tile = n / kStripN * (padded_k / kTileK) + k / kTileK;
  const int in_k = static_cast<int>(k % kTileK);
  const int in_n = static_cast<int>(n % kStripN);
  return (tile * kLanes + lane_of(in_k, in_n)) * kWordsPerLane + word_of(in_n);
}
/// The bit of that word where the code starts.
PTQ_HOST_DEVICE constexpr int code_shift(int64_t k, int64_t n) {
  return 4 * nibble_of(static_cast<int>(k % kTileK), static_cast<int>(n % kStripN));
}

/// The place of channel n's scale in its row [padded_n] of scales: the eight that one lane needs,
/// channels r, r + 8, … r + 56 of a strip, are 16 bytes.
PTQ_HOST_DEVICE constexpr int64_t scale_slot(int64_t n) {
  const int64_t in_strip = n % kStripN;
  return n - in_strip + in_strip % kChannelGroups * 8 + in_strip / kChannelGroups;
}
/// The word of a row [padded_n / 8] of zero points that holds channel n's, and its first bit: the
/// eight that one lane needs are one word.
PTQ_HOST_DEVICE constexpr int64_t zero_word(int64_t n) {
  return n / kStripN * kChannelGroups + n % kChannelGroups;
}
PTQ_HOST_DEVICE constexpr int zero_shift(int64_t n) {
  return static_cast<int>(n % kStripN / kChannelGroups) * 4;
}

/// Activations of a slab in shared memory, rows of 64 16-bit values: where the 16-byte chunk
/// `chunk` (0 … 7) of a row lies, in bytes.  The rotation lets eight lanes read the same chunk of
/// eight rows in one pass over the banks.
PTQ_HOST_DEVICE constexpr int activation_offset(int row, int chunk) {
  return row * kSlabK * 2 + (chunk ^ (row % 8)) * 16;
}

/// Sums of a tile of `channels` channels in shared memory, float32 [tokens][channels + 4]: in
/// bytes.  Four floats of padding put the four tokens that a warp writes at once on other banks.
PTQ_HOST_DEVICE constexpr int sum_offset(int token, int channel, int channels) {
  return (token * (channels + 4) + channel) * 4;
}

/// One slab of dequantized weights, 16-bit [64 channels][64 inputs + 8 of padding], in bytes.
PTQ_HOST_DEVICE constexpr int dense_offset(int channel, int k) {
  return channel * (kSlabK + 8) * 2 + k * 2;
}

}  // namespace ptq::cuda
