#include "ptq/model/causal_lm.h"

namespace ptq {

at::Tensor CausalLM::logits(const at::Tensor& hidden) const {
  return affine(final_norm(hidden), head_weight());
}

at::Tensor run_model(const CausalLM& model, const at::Tensor& tokens) {
  at::Tensor hidden = model.embed(tokens);
  for (int64_t index = 0; index < model.config().blocks; ++index)
    hidden = model.load_block(index)->forward(hidden);
  return model.logits(hidden.reshape({-1, hidden.size(-1)}))
      .reshape({tokens.size(0), tokens.size(1), -1});
}

}  // namespace ptq
