#pragma once
#include <optional>
#include <string>

#include <ATen/core/Tensor.h>

#include "ptq/quant/scheme.h"

namespace ptq {

/// What GPTQ's `qzeros` hold: v1 stores zero − 1, v2 stores zero.
enum class GptqVersion { kV1 = 1, kV2 = 2 };

/// How the zero points of a symmetric file are really stored, whatever its label says.
enum class ZeroWords {
  kV1,        ///< 2^(bits−1) − 1 in every field
  kV2,        ///< 2^(bits−1) in every field
  kSwapped3,  ///< 3 bits, v1 made with the subtrahend's first and third word exchanged
};

/// int32 [groups, out·bits/32] from uint8 [out, groups].  v1 subtracts one from every field.
/// Throws UnsupportedError in v1 for a zero point of 0, which readers disagree about.
at::Tensor pack_zeros(const at::Tensor& zero, int bits, GptqVersion version);

/// How the `qzeros` of a symmetric file are stored; nothing if they are not 2^(bits−1) in any way.
/// With one code for every field the words cannot be mistaken for one another.
std::optional<ZeroWords> symmetric_words(const at::Tensor& qzeros, int bits);

/// uint8 [out, groups] from `qzeros`, int32 [groups, out·bits/32].  Symmetric: decided by the
/// words; asymmetric: by `version`.  Throws FormatError naming the tensor if a symmetric scheme has
/// other zero points than 2^(bits−1), UnsupportedError for the v1 field that readers disagree
/// about.
at::Tensor unpack_zeros(const at::Tensor& qzeros, const QuantScheme& scheme, GptqVersion version,
                        const std::string& name);

}  // namespace ptq
