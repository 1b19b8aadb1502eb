#include "ptq/quant/sparse_places.h"

#include <stdexcept>

#include <ATen/ATen.h>

namespace ptq {
namespace {

/// CSR of values float32 [n] at `places`, in a matrix [out, in].
SparseWeight csr(const at::Tensor& places, const at::Tensor& values, int64_t out, int64_t in) {
  SparseWeight sparse;
  sparse.values = values.contiguous();
  sparse.columns = places.remainder(in).to(at::kInt);
  // Row o begins where the first place of it or of a later row would stand.
  sparse.row_begin = at::searchsorted(places, at::arange(out + 1, at::kLong) * in).to(at::kInt);
  return sparse;
}

}  // namespace

SparseWeight sparse_at(const at::Tensor& weight, const at::Tensor& places) {
  const int64_t count = places.size(0);
  const bool rising =
      count < 2 || (places.slice(0, 1) > places.slice(0, 0, count - 1)).all().item<bool>();
  if (!rising || (count > 0 && (places[0].item<int64_t>() < 0 ||
                                places[count - 1].item<int64_t>() >= weight.numel())))
    throw std::logic_error("sparse_at: places must rise within the matrix");
  return csr(places, weight.reshape({-1}).index_select(0, places), weight.size(0), weight.size(1));
}

at::Tensor places_of(const SparseWeight& sparse, int64_t in_features) {
  const at::Tensor begin = sparse.row_begin.to(at::kLong);
  const int64_t rows = begin.size(0) - 1;
  const at::Tensor row = at::repeat_interleave(at::arange(rows, at::kLong),
                                               begin.slice(0, 1) - begin.slice(0, 0, rows));
  return row * in_features + sparse.columns.to(at::kLong);
}

SparseWeight merged(const SparseWeight& under, const SparseWeight& over, int64_t in_features) {
  if (under.count() == 0) return over;
  if (over.count() == 0) return under;
  const at::Tensor above = places_of(over, in_features);
  const at::Tensor below = places_of(under, in_features);
  const at::Tensor kept = at::isin(below, above).logical_not();
  const at::Tensor places = at::cat({below.masked_select(kept), above});
  const at::Tensor values = at::cat({under.values.masked_select(kept), over.values});
  const auto [sorted, order] = places.sort();
  return csr(sorted, values.index_select(0, order), over.row_begin.size(0) - 1, in_features);
}

}  // namespace ptq
