#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "layout.h"
#include "number.h"
#include "w4a16_api.h"

namespace ptq::cuda {

/// A 4-bit weight [out, in] as plain arrays, not owned.  W[o, i] = scales[o, g] (codes[o, i] −
/// zeros[o, g]), g = group_of[i]; sparse values replace W at their places.
struct WeightArrays {
  int64_t out = 0, in = 0, groups = 0;
  int64_t group_size = 128;            ///< inputs of a group; -1: the whole row
  const uint8_t* codes = nullptr;      ///< [out, in], 0 … 15
  const float* scales = nullptr;       ///< [out, groups]
  const uint8_t* zeros = nullptr;      ///< [out, groups]; null: 8 throughout
  const int32_t* group_of = nullptr;   ///< [in]; null: i / group_size
  const int32_t* row_begin = nullptr;  ///< [out + 1]; null: no sparse part
  const int32_t* columns = nullptr;    ///< [row_begin[out]]
  const float* values = nullptr;       ///< [row_begin[out]]
};

/// The sparse part as the kernels read it: rows cut into pieces of at most kPieceValues, so that
/// the work of a warp has a limit.  Channel n has pieces first_piece[n] … first_piece[n + 1] − 1,
/// piece p values piece_begin[p] … piece_begin[p + 1] − 1.
struct SparsePieces {
  std::vector<int32_t> first_piece;  ///< [n + 1]
  std::vector<int32_t> piece_begin;  ///< [pieces + 1]
  std::vector<int32_t> positions;    ///< [values]: places in the sorted order of inputs
  std::vector<uint16_t> values;      ///< [values], rounded to the weight's number format
};
constexpr int kPieceValues = 64;

/// A weight in the GPU's layout, in host memory (docs/cuda.md).
struct HostWeight {
  Number number = Number::kFp16;
  int64_t n = 0, k = 0;  ///< channels and inputs
  int64_t padded_n = 0, padded_k = 0;
  int64_t groups = 0;
  int64_t group_size = 0;        ///< positions of a group: a power of two, or padded_k
  int64_t scale_rows = 0;        ///< padded_k / group_size, rounded up; rows from `groups` on are 0
  std::vector<uint32_t> codes;   ///< [padded_n / 64, padded_k / 16, 128], see code_word
  std::vector<uint16_t> scales;  ///< [scale_rows, padded_n], see scale_slot
  std::vector<uint32_t> zeros;   ///< [scale_rows, padded_n / 8], see zero_word; empty: all 8
  std::vector<int32_t> order;    ///< [padded_k]: the input at a sorted position; empty: in order
  std::vector<int32_t> position;  ///< [padded_k]: its inverse; both keep the padding in place
  SparsePieces sparse;
};

/// Why the kernels cannot take groups of `group_size`, or nothing.
std::optional<std::string> unsupported_group(int64_t group_size);

/// The number format that holds every scale exactly: bfloat16 if it does (a bfloat16 model's scales
/// fit both, its activations only this one), else float16, else nothing.
std::optional<Number> exact_number(const WeightArrays& weight);

/// Packs `weight` for activations of format `number`.  Throws UnsupportedError for groups the
/// kernels do not take, for a scale that `number` does not hold exactly, and for group_of where a
/// group is not full.
HostWeight pack(const WeightArrays& weight, Number number);

/// `weight` as the module takes it; valid as long as `weight`.
W4a16Weight view_of(const HostWeight& weight);

/// The tiles of a group as a power of two; 30 if there is one group only.
int tile_shift(const HostWeight& weight);

/// The code of a channel at a sorted position of its inputs, read back from the packed form.
uint8_t packed_code(const HostWeight& weight, int64_t channel, int64_t position);
/// The zero point of (channel, group), read back from the packed form; 8 for a symmetric weight.
uint8_t packed_zero(const HostWeight& weight, int64_t channel, int64_t group);
/// The scale of (channel, group), read back from the packed form.
float packed_scale(const HostWeight& weight, int64_t channel, int64_t group);

}  // namespace ptq::cuda
