#pragma once
#include <ATen/core/Tensor.h>

namespace ptq {

/// Packs the last dimension as one contiguous bit stream, lowest bits first, into 32-bit words:
/// uint8 [rows, n] with values below 2^bits  ->  int32 [rows, ceil(n·bits / 32)].  bits: 1 … 8.
at::Tensor pack_bits(const at::Tensor& values, int bits);

/// The inverse: int32 [rows, words] -> uint8 [rows, n].  Throws FormatError unless words =
/// ceil(n·bits / 32).
at::Tensor unpack_bits(const at::Tensor& words, int bits, int64_t n);

}  // namespace ptq
