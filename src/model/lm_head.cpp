#include "ptq/model/lm_head.h"

#include <algorithm>

#include <ATen/ATen.h>

#include "ptq/model/linear.h"
#include "ptq/model/matmul.h"

namespace ptq {
namespace {

/// Elsewhere than on the CPU products take float32 only.
bool read_as_stored(const at::Tensor& weight) {
  return weight.scalar_type() == at::kFloat ||
         (weight.scalar_type() == at::kBFloat16 && weight.is_cpu());
}

}  // namespace

LmHead::LmHead(const CausalLM& model, int64_t rows, int64_t weight_bytes)
    : model_(model), weight_(model.head_weight()), slice_rows_(weight_.size(0)) {
  buffer_ = at::empty({rows, weight_.size(0)}, weight_.options().dtype(at::kFloat));
  if (read_as_stored(weight_)) return;
  const int64_t row_bytes = weight_.size(1) * static_cast<int64_t>(sizeof(float));
  slice_rows_ = std::clamp<int64_t>(weight_bytes / row_bytes, 1, weight_.size(0));
  if (slice_rows_ == weight_.size(0)) weight_ = weight_.to(at::kFloat);
}

int64_t LmHead::bytes(const CausalLM& model) {
  const at::Tensor weight = model.head_weight();
  const auto stored = static_cast<int64_t>(weight.nbytes());
  const int64_t converted = read_as_stored(weight) ? 0 : std::min(weight.numel() * 4, kBytes);
  return stored + converted + kRows * weight.size(0) * 4;
}

at::Tensor LmHead::project(const at::Tensor& normed) {
  const at::Tensor logits = buffer_.narrow(0, 0, normed.size(0));
  for (int64_t first = 0; first < weight_.size(0); first += slice_rows_) {
    const int64_t count = std::min(slice_rows_, weight_.size(0) - first);
    affine_into(normed, weight_.narrow(0, first, count), logits.narrow(1, first, count));
  }
  return logits;
}

at::Tensor LmHead::project_back(const at::Tensor& gradient) const {
  at::Tensor total;
  for (int64_t first = 0; first < weight_.size(0); first += slice_rows_) {
    const int64_t count = std::min(slice_rows_, weight_.size(0) - first);
    at::Tensor slice = weight_.narrow(0, first, count);
    if (!read_as_stored(slice)) slice = slice.to(at::kFloat);
    const at::Tensor part = matrix_product(gradient.narrow(1, first, count), slice);
    total = total.defined() ? total.add_(part) : part;
  }
  return total;
}

}  // namespace ptq
