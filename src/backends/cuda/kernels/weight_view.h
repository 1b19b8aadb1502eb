#pragma once
#include <cstdint>

#include "../device.h"
#include "../layout.h"

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

}  // namespace ptq::cuda
