#pragma once
#include <cstdint>

#include <ATen/core/Tensor.h>

#include "ptq/quant/sparse_weight.h"

namespace ptq {

/// The values that `weight`, float32 [out, in], has at `places`, int64 [n], each o · in + i,
/// rising.  Throws std::logic_error if they fall, repeat or lie outside.
SparseWeight sparse_at(const at::Tensor& weight, const at::Tensor& places);

/// Where the values of `sparse`, a matrix [out, in], stand: int64 [values], o · in + i, rising.
at::Tensor places_of(const SparseWeight& sparse, int64_t in_features);

/// The values of both, of matrices [out, in]; where both have one, that of `over`.
SparseWeight merged(const SparseWeight& under, const SparseWeight& over, int64_t in_features);

}  // namespace ptq
