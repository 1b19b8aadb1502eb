#include "gptq_zeros.h"

#include <array>

#include <ATen/ATen.h>

#include "ptq/core/error.h"
#include "ptq/quant/bit_pack.h"

namespace ptq {
namespace {

/// int32 [1, out·bits/32]: the words of a row whose fields are all `code`.
at::Tensor uniform_words(int code, int bits, int64_t out) {
  return pack_bits(at::full({1, out}, code, at::kByte), bits);
}

/// The words of a row of 3-bit zero points of 4 from which 0x49249249 0x92492492 0x24924924 (one in
/// every field) was subtracted with its first and third word exchanged; they repeat every three.
at::Tensor swapped_words(int64_t words) {
  constexpr std::array<uint32_t, 3> kStored{0x00000000u, 0xb6db6db7u, 0x49249249u};
  at::Tensor row = at::empty({1, words}, at::kInt);
  int32_t* word = row.data_ptr<int32_t>();
  for (int64_t i = 0; i < words; ++i)
    word[i] = static_cast<int32_t>(kStored.at(static_cast<size_t>(i % 3)));
  return row;
}

bool all_rows_are(const at::Tensor& words, const at::Tensor& row) {
  return words.eq(row).all().item<bool>();
}

}  // namespace

at::Tensor pack_zeros(const at::Tensor& zero, int bits, GptqVersion version) {
  if (version == GptqVersion::kV2) return pack_bits(zero.t(), bits);
  if (zero.eq(0).any().item<bool>())
    throw UnsupportedError("a zero point of 0 cannot be stored: gptq (v1) stores zero - 1",
                           "write gptq_v2 or compressed-tensors");
  return pack_bits((zero - 1).t(), bits);
}

std::optional<ZeroWords> symmetric_words(const at::Tensor& qzeros, int bits) {
  const int64_t out = qzeros.size(1) * 32 / bits;
  const int zero = 1 << (bits - 1);
  if (all_rows_are(qzeros, uniform_words(zero - 1, bits, out))) return ZeroWords::kV1;
  if (all_rows_are(qzeros, uniform_words(zero, bits, out))) return ZeroWords::kV2;
  if (bits == 3 && all_rows_are(qzeros, swapped_words(qzeros.size(1)))) return ZeroWords::kSwapped3;
  return std::nullopt;
}

at::Tensor unpack_zeros(const at::Tensor& qzeros, const QuantScheme& scheme, GptqVersion version,
                        const std::string& name) {
  const int64_t groups = qzeros.size(0), out = qzeros.size(1) * 32 / scheme.bits;
  const int levels = 1 << scheme.bits;
  if (scheme.symmetric) {
    if (!symmetric_words(qzeros, scheme.bits))
      throw FormatError(name + " holds other zero points than " + std::to_string(levels / 2) +
                            ", the only one of a symmetric " + std::to_string(scheme.bits) +
                            "-bit layer",
                        "the file's \"sym\" or its zero points are wrong");
    return at::full({out, groups}, levels / 2, at::kByte);
  }
  const at::Tensor stored = unpack_bits(qzeros, scheme.bits, out);
  if (version == GptqVersion::kV2) return stored.t().contiguous();
  // The field of a zero point of 0 wraps around; readers that add one to the word and readers that
  // add one to the field get different neighbours.
  if (stored.eq(levels - 1).any().item<bool>())
    throw UnsupportedError(name + " holds a zero point of 0, which gptq (v1) cannot store",
                           "readers disagree about such a file: convert it to gptq_v2 with the "
                           "program that wrote it");
  return stored.add(1).t().contiguous();
}

}  // namespace ptq
