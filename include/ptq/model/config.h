#pragma once
#include <cstdint>
#include <string>

#include "ptq/core/options.h"

namespace ptq {

/// Rotary position embedding: the angle of pair i at position p is p · frequency[i].
struct RopeConfig {
  std::string type = "default";  ///< "default", "linear" or "llama3"
  double theta = 10000.0;
  double factor = 1.0;                                   ///< linear and llama3
  double low_freq_factor = 1.0, high_freq_factor = 4.0;  ///< llama3
  int64_t original_max_positions = 0;                    ///< llama3
};

/// The fields of config.json that several families read, in the spelling of transformers 4 or 5,
/// checked.
struct ModelConfig {
  std::string
      model_type;     ///< "llama", "mistral", "qwen2", "qwen3", "opt": the family's registry name
  std::string dtype;  ///< torch_dtype / dtype as spelled there; "float32" when absent
  int64_t vocab = 0, hidden = 0, intermediate = 0, max_positions = 0, head_dim = 0;
  int64_t blocks = 0, heads = 0, kv_heads = 0;
  double norm_epsilon = 1e-6;
  bool tied_embeddings = false;
  std::string activation;  ///< "silu", "relu", "gelu", …
  RopeConfig rope;
  Json raw;  ///< the whole object, for what only one family reads

  /// Throws FormatError for a missing or wrong field (naming it), UnsupportedError for an unknown
  /// rope type or a field that changes the computation and is not implemented.
  static ModelConfig from_json(const Json& config);
};

}  // namespace ptq
