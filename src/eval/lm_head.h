#pragma once
#include <cstdint>

#include <ATen/core/Tensor.h>

#include "ptq/model/causal_lm.h"

namespace ptq {

/// A model's final norm and LM head over a few rows at a time.
class LmHead {
 public:
  /// float32 and bfloat16 heads are read as stored.  Others are converted: once if the float32
  /// weight is at most `weight_bytes`, else in slices of that size at each call.
  LmHead(const CausalLM& model, int64_t weight_bytes);

  /// float32 [n, hidden] -> logits, float32 [n, vocab].
  at::Tensor logits(const at::Tensor& hidden) const;

 private:
  const CausalLM& model_;
  at::Tensor weight_;       ///< [vocab, width]
  int64_t slice_rows_ = 0;  ///< rows of it that are multiplied together
};

}  // namespace ptq
