#include "lm_head.h"

#include <algorithm>

#include <ATen/ATen.h>

#include "ptq/model/linear.h"

namespace ptq {

LmHead::LmHead(const CausalLM& model, int64_t weight_bytes)
    : model_(model), weight_(model.head_weight()), slice_rows_(weight_.size(0)) {
  if (weight_.scalar_type() == at::kFloat || weight_.scalar_type() == at::kBFloat16) return;
  const int64_t row_bytes = weight_.size(1) * static_cast<int64_t>(sizeof(float));
  slice_rows_ = std::clamp<int64_t>(weight_bytes / row_bytes, 1, weight_.size(0));
  if (slice_rows_ == weight_.size(0)) weight_ = weight_.to(at::kFloat);
}

at::Tensor LmHead::logits(const at::Tensor& hidden) const {
  const at::Tensor normed = model_.final_norm(hidden);
  const int64_t vocab = weight_.size(0);
  if (slice_rows_ == vocab) return affine(normed, weight_);
  at::Tensor logits = at::empty({normed.size(0), vocab}, at::kFloat);
  for (int64_t first = 0; first < vocab; first += slice_rows_) {
    const int64_t count = std::min(slice_rows_, vocab - first);
    const at::Tensor slice = weight_.narrow(0, first, count).to(at::kFloat);
    logits.narrow(1, first, count).copy_(affine(normed, slice));
  }
  return logits;
}

}  // namespace ptq
