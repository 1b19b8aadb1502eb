#include "ptq/quant/bit_pack.h"

#include <cstring>
#include <stdexcept>
#include <string>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "ptq/core/error.h"

namespace ptq {
namespace {

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "streams are laid out as in memory");

// Eight values of `bits` bits are `bits` whole bytes of the stream, so it is made and read eight
// values at a time: the steps below close (open) the gaps between the eight bytes of a word.
template <int bits>
uint64_t compress(uint64_t x) {
  x = (x & 0x00ff00ff00ff00ffu) | ((x & 0xff00ff00ff00ff00u) >> (8 - bits));
  x = (x & 0x0000ffff0000ffffu) | ((x & 0xffff0000ffff0000u) >> (16 - 2 * bits));
  return (x & 0x00000000ffffffffu) | ((x & 0xffffffff00000000u) >> (32 - 4 * bits));
}

template <int bits>
uint64_t expand(uint64_t x) {
  constexpr uint64_t kFour = (uint64_t{1} << (4 * bits)) - 1;
  constexpr uint64_t kTwo = ((uint64_t{1} << (2 * bits)) - 1) * 0x0000000100000001u;
  constexpr uint64_t kOne = ((uint64_t{1} << bits) - 1) * 0x0001000100010001u;
  x = (x & kFour) | ((x & (kFour << (4 * bits))) << (32 - 4 * bits));
  x = (x & kTwo) | ((x & (kTwo << (2 * bits))) << (16 - 2 * bits));
  return (x & kOne) | ((x & (kOne << bits)) << (8 - bits));
}

/// Packs one row; returns the bitwise or of its values.
template <int bits>
uint64_t pack_row(const uint8_t* values, int64_t n, uint8_t* stream) {
  uint64_t seen = 0;
  for (; n >= 8; n -= 8, values += 8, stream += bits) {
    uint64_t x;
    std::memcpy(&x, values, 8);
    seen |= x;
    x = compress<bits>(x);
    std::memcpy(stream, &x, bits);
  }
  if (n > 0) {
    uint64_t x = 0;
    std::memcpy(&x, values, static_cast<size_t>(n));
    seen |= x;
    x = compress<bits>(x);
    std::memcpy(stream, &x, static_cast<size_t>((n * bits + 7) / 8));
  }
  return seen;
}

template <int bits>
void unpack_row(const uint8_t* stream, int64_t n, uint8_t* values) {
  for (; n >= 8; n -= 8, values += 8, stream += bits) {
    uint64_t x = 0;
    std::memcpy(&x, stream, bits);
    x = expand<bits>(x);
    std::memcpy(values, &x, 8);
  }
  if (n > 0) {
    uint64_t x = 0;
    std::memcpy(&x, stream, static_cast<size_t>((n * bits + 7) / 8));
    x = expand<bits>(x);
    std::memcpy(values, &x, static_cast<size_t>(n));
  }
}

struct RowKernels {
  uint64_t (*pack)(const uint8_t*, int64_t, uint8_t*);
  void (*unpack)(const uint8_t*, int64_t, uint8_t*);
};

RowKernels kernels_for(int bits) {
  static constexpr RowKernels kKernels[] = {
      {pack_row<1>, unpack_row<1>}, {pack_row<2>, unpack_row<2>}, {pack_row<3>, unpack_row<3>},
      {pack_row<4>, unpack_row<4>}, {pack_row<5>, unpack_row<5>}, {pack_row<6>, unpack_row<6>},
      {pack_row<7>, unpack_row<7>}, {pack_row<8>, unpack_row<8>}};
  if (bits < 1 || bits > 8)
    throw std::logic_error("bit streams have 1 to 8 bits a value, not " + std::to_string(bits));
  return kKernels[bits - 1];
}

int64_t words_of(int64_t n, int bits) {
  return (n * bits + 31) / 32;
}

// Rows that together give a thread enough to do.
int64_t grain(int64_t n) {
  return 1 + (1 << 16) / (n + 1);
}

}  // namespace

at::Tensor pack_bits(const at::Tensor& values, int bits) {
  const RowKernels kernels = kernels_for(bits);
  if (values.dim() != 2 || values.scalar_type() != at::kByte)
    throw std::logic_error("pack_bits takes a uint8 matrix");
  const at::Tensor in = values.contiguous();
  const int64_t rows = in.size(0), n = in.size(1), words = words_of(n, bits);
  at::Tensor out = at::empty({rows, words}, at::kInt);
  if (words == 0) return out;
  const uint8_t* from = in.data_ptr<uint8_t>();
  int32_t* to = out.data_ptr<int32_t>();
  const uint64_t above = uint64_t{0xffu >> bits << bits} * 0x0101010101010101u;
  at::parallel_for(0, rows, grain(n), [&](int64_t begin, int64_t end) {
    uint64_t seen = 0;
    for (int64_t row = begin; row < end; ++row) {
      to[(row + 1) * words - 1] = 0;  // the row may end inside its last word
      auto* stream = static_cast<uint8_t*>(static_cast<void*>(to + row * words));
      seen |= kernels.pack(from + row * n, n, stream);
    }
    if (seen & above)
      throw std::logic_error("pack_bits: a value needs more than " + std::to_string(bits) +
                             " bits");
  });
  return out;
}

at::Tensor unpack_bits(const at::Tensor& words, int bits, int64_t n) {
  const RowKernels kernels = kernels_for(bits);
  if (words.dim() != 2 || words.scalar_type() != at::kInt)
    throw std::logic_error("unpack_bits takes an int32 matrix");
  const int64_t rows = words.size(0), width = words.size(1);
  if (n < 0 || width != words_of(n, bits))
    throw FormatError("a row of " + std::to_string(width) + " words cannot hold " +
                      std::to_string(n) + " values of " + std::to_string(bits) +
                      " bits: " + std::to_string(words_of(n, bits)) + " words are needed");
  const at::Tensor in = words.contiguous();
  at::Tensor out = at::empty({rows, n}, at::kByte);
  const int32_t* from = in.data_ptr<int32_t>();
  uint8_t* to = out.data_ptr<uint8_t>();
  at::parallel_for(0, rows, grain(n), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const auto* stream =
          static_cast<const uint8_t*>(static_cast<const void*>(from + row * width));
      kernels.unpack(stream, n, to + row * n);
    }
  });
  return out;
}

}  // namespace ptq
