#pragma once
#include <cstdint>

#include <ATen/core/Tensor.h>

#include "ptq/model/causal_lm.h"

namespace ptq {

/// A model's final norm and LM head over a few rows at a time, into one buffer.
class LmHead {
 public:
  /// `rows`: at most so many a call; `weight_bytes`: the float32 weight is held if it is no larger,
  /// else converted in slices of that size at each call.
  LmHead(const CausalLM& model, int64_t rows, int64_t weight_bytes);

  /// float32 [n, hidden] -> logits, float32 [n, vocab]; they live until the next call.
  at::Tensor logits(const at::Tensor& hidden);

  int64_t vocab() const { return stored_.size(0); }

 private:
  const CausalLM& model_;
  at::Tensor stored_;  ///< [vocab, width], the checkpoint's dtype
  int64_t slice_ = 0;  ///< rows of `stored_` converted together
  at::Tensor weight_;  ///< float32 [slice, width]: the slice last converted
  at::Tensor buffer_;  ///< float32 [rows, vocab]
};

}  // namespace ptq
