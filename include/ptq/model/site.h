#pragma once
#include <cstdint>
#include <string>

namespace ptq {

/// One quantizable linear layer, identified without loading it.
struct LinearSite {
  std::string name;   ///< checkpoint prefix: "model.layers.3.self_attn.q_proj"
  std::string input;  ///< the tensor it reads: "model.layers.3.self_attn.input"; sites with the
                      ///< same input share statistics
  int block = 0;      ///< transformer block, 0-based
  int stage =
      0;  ///< order inside the block: a stage's inputs depend only on sites of earlier stages
  int64_t out_features = 0;
  int64_t in_features = 0;
  /// What makes the input, where a factor per input channel can be moved to: a norm or an earlier
  /// linear of the block ("model.layers.3.input_layernorm"); empty: nothing can take one.
  std::string producer = {};
  /// Its output makes nothing but the scores of attention, as that of q and k does.
  bool scores_only = false;
};

}  // namespace ptq
