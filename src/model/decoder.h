#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "ptq/model/causal_lm.h"

namespace ptq {

/// What sets the Llama-like families apart: RMS norms before attention and before a gated SiLU
/// MLP, rotary positions, grouped key-value heads.
struct DecoderFacts {
  bool qkv_bias = false;
  bool output_bias = false;  ///< of o_proj
  bool mlp_bias = false;
  bool head_norms = false;       ///< q_norm and k_norm: an RMS norm of every head before rotation
  std::vector<int64_t> windows;  ///< of every block: keys a query sees, itself included; 0: all
};

/// A Llama-like model with Transformers' tensor names.  Throws FormatError for missing or
/// misshapen embeddings, UnsupportedError for an activation other than SiLU.
std::unique_ptr<CausalLM> open_decoder(WeightSource weights, const ModelConfig& config,
                                       DecoderFacts facts);

/// DecoderFacts::windows: `window` for the blocks from `first_sliding` on or, where config.json has
/// layer_types, for those it calls sliding.  Throws FormatError for layer_types of another length,
/// UnsupportedError for a type other than "full_attention" and "sliding_attention".
std::vector<int64_t> attention_windows(const ModelConfig& config, int64_t window,
                                       int64_t first_sliding);

/// The rule of Qwen2 and Qwen3: sliding_window from block max_window_layers on if
/// use_sliding_window.
std::vector<int64_t> upper_windows(const ModelConfig& config);

}  // namespace ptq
