#pragma once
#include <ATen/core/Tensor.h>

#include "support/tiny_model.h"

namespace ptq::testing {

/// Logits float64 [batch, seq, vocab] of a tiny Llama or OPT, from the papers' formulas token by
/// token and head by head, sharing no code with the library.
at::Tensor plain_logits(const TinyModel& model, const at::Tensor& tokens);

}  // namespace ptq::testing
