#pragma once
#include <cstdint>

#include <ATen/core/Tensor.h>

#include "ptq/model/causal_lm.h"

namespace ptq {

/// A model's final norm and LM head over a few rows at a time, into one buffer.
class LmHead {
 public:
  static constexpr int64_t kRows = 256;                  ///< of logits that are worth a call
  static constexpr int64_t kBytes = int64_t{512} << 20;  ///< of a converted head that is kept

  /// `rows`: at most so many a call.  float32 heads, and bfloat16 ones on the CPU, are read as
  /// stored.  Others are converted: once if the float32 weight is at most `weight_bytes`, else in
  /// slices of that size at each call.
  explicit LmHead(const CausalLM& model, int64_t rows = kRows, int64_t weight_bytes = kBytes);

  /// float32 [n, hidden] -> logits, float32 [n, vocab]; the next call overwrites them.
  at::Tensor logits(const at::Tensor& hidden) { return project(final_norm(hidden)); }

  /// The first step of `logits`: float32 [n, hidden] -> [n, width].  Records autograd.
  at::Tensor final_norm(const at::Tensor& hidden) const { return model_.final_norm(hidden); }
  /// The second: float32 [n, width] -> logits, float32 [n, vocab]; the next call overwrites them.
  at::Tensor project(const at::Tensor& normed);
  /// The gradient of `project`'s input, float32 [n, width], from that of its result, [n, vocab].
  at::Tensor project_back(const at::Tensor& gradient) const;

  /// Memory that a head of kRows rows takes at most, its weight as stored included.
  static int64_t bytes(const CausalLM& model);

  /// Rows of a call at most.
  int64_t rows() const { return buffer_.size(0); }
  /// Columns of the logits.
  int64_t vocab() const { return weight_.size(0); }
  /// Elements of its weight.
  int64_t weights() const { return weight_.numel(); }

 private:
  const CausalLM& model_;
  at::Tensor buffer_;       ///< float32 [rows, vocab]
  at::Tensor weight_;       ///< [vocab, width]
  int64_t slice_rows_ = 0;  ///< rows of it that are multiplied together
};

}  // namespace ptq
