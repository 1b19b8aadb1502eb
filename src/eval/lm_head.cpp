#include "lm_head.h"

#include <algorithm>

#include <ATen/ATen.h>

namespace ptq {

LmHead::LmHead(const CausalLM& model, int64_t rows, int64_t weight_bytes)
    : model_(model), stored_(model.head_weight()) {
  const int64_t row_bytes = stored_.size(1) * static_cast<int64_t>(sizeof(float));
  slice_ = std::clamp<int64_t>(weight_bytes / row_bytes, 1, vocab());
  if (slice_ == vocab()) weight_ = stored_.to(at::kFloat).contiguous();
  buffer_ = at::empty({rows, vocab()}, at::kFloat);
}

at::Tensor LmHead::logits(const at::Tensor& hidden) {
  const at::Tensor normed = model_.final_norm(hidden);
  at::Tensor out = buffer_.narrow(0, 0, normed.size(0));
  for (int64_t first = 0; first < vocab(); first += slice_) {
    const int64_t count = std::min(slice_, vocab() - first);
    if (slice_ < vocab()) weight_ = stored_.narrow(0, first, count).to(at::kFloat).contiguous();
    at::Tensor columns = out.narrow(1, first, count);
    at::mm_out(columns, normed, weight_.t());
  }
  return out;
}

}  // namespace ptq
