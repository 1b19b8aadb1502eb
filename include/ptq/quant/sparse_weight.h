#pragma once
#include <cstdint>

#include <ATen/core/Tensor.h>

namespace ptq {

/// Single weights of a matrix [out, in] that stand beside a quantized one and replace it at their
/// places (CSR): row o holds values[i] in column columns[i] for row_begin[o] <= i < row_begin[o+1].
struct SparseWeight {
  at::Tensor row_begin;  ///< int32 [out + 1], from 0 to the number of values, never falling
  at::Tensor columns;    ///< int32 [values], rising within a row
  at::Tensor values;     ///< float32 [values]

  /// Number of values; 0 without tensors.
  int64_t count() const { return values.defined() ? values.size(0) : 0; }

  /// Throws std::logic_error unless shapes, dtypes and indices are as documented above and all
  /// tensors contiguous.
  void check(int64_t out_features, int64_t in_features) const;

  /// `weight` (float32 [out, in], contiguous, left as it is) with the values in their places; the
  /// same tensor where there is none.  Throws std::logic_error as `check`.
  at::Tensor placed_in(const at::Tensor& weight) const;
};

}  // namespace ptq
