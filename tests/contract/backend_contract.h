#pragma once
#include <string>
#include <vector>

#include "ptq/backends/backend.h"

namespace ptq {

/// A weight to multiply by, as quantizers or other tools make it.
struct BackendCase {
  QuantScheme scheme;
  int64_t out = 0, in = 0;
  bool permuted = false, sparse = false;
  bool long_scales = false;  ///< more significant bits than float16 has
  std::string name() const;
};

/// A random weight of the case, negative scales among the scales; a random table for every row.
QuantizedTensor random_weight(const BackendCase& made);

/// About one value in 50, an empty row among the rows; null members unless `made.sparse`.
SparseWeight random_values(const BackendCase& made);

/// The float32 weight [out, in] that both stand for.
at::Tensor dense_weight(const QuantizedTensor& weight, const SparseWeight& sparse);

/// Widths, groups, symmetry, order, lookup tables, sparse values and odd shapes, combined.
std::vector<BackendCase> backend_cases();

/// What a backend that is not exact() promises, for scales of float16 and of bfloat16: unit vectors
/// give the weight rounded to one of the two, bit for bit; sums are within their bound; a row does
/// not notice what the values of others are; what is not supported is refused, and scales that
/// neither format holds when the weight is packed.  Returns as broken_promises.
std::vector<std::string> broken_rounding_promises(const GemmBackend& backend,
                                                  const std::vector<BackendCase>& cases);

/// What every exact() backend promises for those of `cases` that it takes.  Returns the promises it
/// breaks, each with the case; empty: none.
std::vector<std::string> broken_promises(const GemmBackend& backend,
                                         const std::vector<BackendCase>& cases);

}  // namespace ptq
