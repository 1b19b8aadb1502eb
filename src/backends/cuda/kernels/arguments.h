#pragma once
#include <cstdint>

#include "../device_types.h"
#include "../w4a16_api.h"

// What the kernels are called with; for callers that are not compiled for a device, too.
namespace ptq::cuda {

/// A packed weight in the memory of the device that runs the kernels; host_weight.h tells what each
/// array holds.  Null pointers stand for empty arrays.
struct WeightView {
  const Word4* codes;
  const uint16_t* scales;
  const uint32_t* zeros;
  const int32_t* order;
  const int32_t* position;
  const int32_t* first_piece;
  const int32_t* piece_begin;
  const int32_t* sparse_positions;
  const uint16_t* sparse_values;
  int32_t n, k, padded_n, padded_k;
  int32_t pieces;
  int32_t tile_shift;  ///< tile k / 16 has the scales of row (k / 16) >> tile_shift
};

/// `weight` as kernels see it, in the memory it lies in.
inline WeightView kernel_view(const W4a16Weight& weight) {
  WeightView view{};
  view.codes = reinterpret_cast<const Word4*>(weight.codes);
  view.scales = weight.scales;
  view.zeros = weight.zeros;
  view.order = weight.order;
  view.position = weight.position;
  view.first_piece = weight.first_piece;
  view.piece_begin = weight.piece_begin;
  view.sparse_positions = weight.sparse_positions;
  view.sparse_values = weight.sparse_values;
  view.n = static_cast<int32_t>(weight.n);
  view.k = static_cast<int32_t>(weight.k);
  view.padded_n = static_cast<int32_t>(weight.padded_n);
  view.padded_k = static_cast<int32_t>(weight.padded_k);
  view.pieces = static_cast<int32_t>(weight.pieces);
  view.tile_shift = weight.tile_shift;
  return view;
}

/// out [channels, padded_k]: 16-bit rows of the weight from channel 64 · first_strip on, inputs in
/// the model's own order, zero from k on.
struct DequantizeArgs {
  WeightView weight;
  int32_t first_strip;
  uint16_t* out;
};

/// Puts the sparse values of `channels` channels in their places in what dequantize_kernel wrote; a
/// warp a channel, kThreads threads a block.
struct InjectArgs {
  WeightView weight;
  int32_t first_channel, channels;
  uint16_t* out;
  static constexpr int kThreads = 128;
};

/// Activations [m, k] with `stride` values from row to row, as the products read them: 16-bit
/// [m, padded_k], zero from k on; in the weight's sorted order if `order` is there.
template <class In>
struct StageArgs {
  const In* x;
  int64_t stride;
  const int32_t* order;
  int32_t k, padded_k;
  uint16_t* out;
};

/// The sparse part's product beside kernel S: sums [pieces, m] float32 of staged activations x
/// [m, padded_k].  Kernel S adds the pieces of a channel in order.
struct SparseArgs {
  WeightView weight;
  const uint16_t* x;
  int32_t m;
  float* sums;
  static constexpr int kThreads = 128;
};

/// Where the sums go: y[token · stride + channel] = sum + bias + sparse sums.
struct OutputArgs {
  void* y;
  int64_t stride;            ///< values from row to row
  bool y_is_float;           ///< else the activations' 16-bit format
  const float* bias;         ///< [n], or null
  const float* sparse_sums;  ///< [pieces, m] of sparse_kernel, or null
};

struct SmallMatmulArgs {
  WeightView weight;
  const uint16_t* x;  ///< [m, padded_k], staged (stage.h)
  int32_t m;
  int32_t splits;       ///< blocks that share a tile's inputs
  float* partial_sums;  ///< [token tiles, channel tiles, splits, tile], if splits > 1
  int32_t* tickets;     ///< [token tiles, channel tiles], 0 before and after a launch
  OutputArgs out;
};

}  // namespace ptq::cuda
