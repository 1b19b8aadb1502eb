#include "ptq/quant/sparse_weight.h"

#include <stdexcept>
#include <string>

#include <ATen/ATen.h>

namespace ptq {
namespace {

void require(bool holds, const std::string& fault) {
  if (!holds) throw std::logic_error("SparseWeight: " + fault);
}

bool is_vector(const at::Tensor& tensor, at::ScalarType dtype) {
  return tensor.defined() && tensor.scalar_type() == dtype && tensor.dim() == 1 &&
         tensor.is_contiguous();
}

}  // namespace

void SparseWeight::check(int64_t out_features, int64_t in_features) const {
  require(is_vector(row_begin, at::kInt) && row_begin.size(0) == out_features + 1,
          "row_begin must be int32 [out + 1]");
  require(is_vector(values, at::kFloat), "values must be float32 [values]");
  require(is_vector(columns, at::kInt) && columns.size(0) == values.size(0),
          "columns must be int32 [values]");
  const int32_t* begin = row_begin.data_ptr<int32_t>();
  const int32_t* column = columns.data_ptr<int32_t>();
  require(begin[0] == 0 && begin[out_features] == count(),
          "row_begin must lead from 0 to the number of values");
  for (int64_t out = 0; out < out_features; ++out)
    require(begin[out] <= begin[out + 1], "row_begin falls");
  for (int64_t out = 0; out < out_features; ++out)
    for (int32_t i = begin[out]; i < begin[out + 1]; ++i)
      require(column[i] >= 0 && column[i] < in_features &&
                  (i == begin[out] || column[i - 1] < column[i]),
              "the columns of a row must rise and lie within it");
}

at::Tensor SparseWeight::placed_in(const at::Tensor& weight) const {
  if (count() == 0) return weight;
  require(weight.scalar_type() == at::kFloat && weight.dim() == 2 && weight.is_contiguous(),
          "the weight must be float32 [out, in] and contiguous");
  check(weight.size(0), weight.size(1));
  at::Tensor placed = weight.clone();
  const int32_t* begin = row_begin.data_ptr<int32_t>();
  const int32_t* column = columns.data_ptr<int32_t>();
  const float* value = values.data_ptr<float>();
  for (int64_t out = 0; out < weight.size(0); ++out) {
    float* row = placed.data_ptr<float>() + out * weight.size(1);
    for (int32_t i = begin[out]; i < begin[out + 1]; ++i)
      row[column[i]] = value[i];
  }
  return placed;
}

}  // namespace ptq
