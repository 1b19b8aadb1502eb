#pragma once
#include <ATen/core/Tensor.h>

#include "ptq/quant/scheme.h"

namespace ptq {

/// A weight [out, in] on integer grids, not yet packed:
///   w[o, i] ≈ scale[o, g(i)] · (q[o, i] − zero[o, g(i)]),   g(i) = group_of[i]
/// or, if the scheme says so, on a table of values for each row:
///   w[o, i] ≈ table[o, q[o, i]]
/// Then it has no scales and zero points, and group_of is 0 throughout.
/// The only representation quantizers produce and formats and backends consume.
struct QuantizedTensor {
  at::Tensor q;      ///< uint8   [out, in]      0 … 2^bits − 1
  at::Tensor scale;  ///< float32 [out, groups]  finite, not 0; negative in signed full-range
                     ///< symmetric groups
  at::Tensor zero;  ///< uint8   [out, groups]  0 … 2^bits − 1; 2^(bits−1) throughout if symmetric
  at::Tensor group_of;  ///< int32   [in]           i / group_size unless activation-ordered
  QuantScheme scheme;
  /// float32 [out, 2^bits]  finite, never falling within a row; defined exactly if scheme.lookup
  at::Tensor table = {};

  int64_t out_features() const { return q.size(0); }
  int64_t in_features() const { return q.size(1); }

  /// The weight it stands for, float32 [out, in].
  at::Tensor dequantize() const;

  /// Throws std::logic_error unless shapes, dtypes and ranges are as documented above.
  void check() const;
};

/// int32 [in]: i / group_size, the group of each input feature without activation order.
at::Tensor contiguous_groups(const QuantScheme& scheme, int64_t in_features);

/// The scale as it can be stored: `scale` (float32, any shape) rounded to float16, and then to
/// bfloat16 when the model's own dtype is bfloat16, so that every output format holds the same
/// number exactly.  Rounds to nearest even; never gives zero (at least 2^-24 in magnitude, sign
/// kept).  Throws NumericalError above float16's range.
at::Tensor storable_scale(const at::Tensor& scale, at::ScalarType model_dtype);

/// Entries of tables as they can be stored: `values` (float32, any shape) rounded to float16, to
/// nearest even; no negative zeros.  Throws NumericalError above float16's range.
at::Tensor storable_entries(const at::Tensor& values);

}  // namespace ptq
