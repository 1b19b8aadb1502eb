#include "ptq/model/config.h"

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "config_reader.h"
#include "ptq/core/error.h"

namespace ptq {
namespace {

// Limits that no real model comes near, so that products of a few sizes fit 64 bits.
constexpr int64_t kMaxVocab = int64_t{1} << 24, kMaxWidth = int64_t{1} << 20;
constexpr int64_t kMaxBlocks = 10000, kMaxHeads = 4096, kMaxHeadDim = 4096;
constexpr int64_t kMaxPositions = kMaxWindow;

/// Fields of kindred architectures that change the computation, with the value that does not.
const std::vector<std::pair<const char*, Json>>& neutral_fields() {
  static const std::vector<std::pair<const char*, Json>> kFields = {
      {"partial_rotary_factor", 1.0},
      {"rotary_pct", 1.0},
      {"rope_interleaved", false},
      {"rope_interleave", false},
      {"no_rope_layers", nullptr},
      {"alibi", false},
      {"use_parallel_residual", false},
      {"attn_logit_softcapping", nullptr},
      {"final_logit_softcapping", nullptr},
      {"query_pre_attn_scalar", nullptr},
      {"attention_multiplier", nullptr},
      {"attention_chunk_size", nullptr},
      {"attn_temperature_tuning", false},
      {"clip_qkv", nullptr},
      {"use_qk_norm", false},
      {"qk_layernorm", false},
      {"embedding_multiplier", 1.0},
      {"residual_multiplier", 1.0},
      {"logits_scaling", 1.0},
      {"logit_scale", 1.0},
      {"scale_emb", 1.0},
      {"scale_depth", nullptr},
      {"num_experts", 0},
      {"num_local_experts", 0},
      {"is_encoder_decoder", false},
      {"add_cross_attention", false},
  };
  return kFields;
}

/// The rope object of either spelling: transformers 5 rope_parameters, 4 rope_scaling beside
/// rope_theta.
RopeConfig read_rope(const ConfigReader& config, int64_t max_positions) {
  RopeConfig rope;
  rope.theta = config.positive("rope_theta", 10000.0);
  const char* name = config.has("rope_parameters") ? "rope_parameters" : "rope_scaling";
  if (!config.has(name)) return rope;
  const Json& object = config.object().at(name);
  if (!object.is_object()) throw FormatError(config.quote(name) + ", must be an object");
  const ConfigReader fields(object, std::string("config.json: ") + name);
  rope.theta = fields.positive("rope_theta", rope.theta);
  rope.type = fields.has("rope_type") ? fields.text("rope_type") : fields.text("type");
  std::set<std::string> known = {"rope_type", "type", "rope_theta", "partial_rotary_factor"};
  fields.expect("partial_rotary_factor", 1.0);
  if (rope.type == "linear") {
    rope.factor = fields.positive("factor");
    known.insert("factor");
  } else if (rope.type == "llama3") {
    rope.factor = fields.positive("factor");
    rope.low_freq_factor = fields.positive("low_freq_factor");
    rope.high_freq_factor = fields.positive("high_freq_factor");
    rope.original_max_positions =
        fields.integer("original_max_position_embeddings", 1, kMaxPositions, max_positions);
    if (rope.high_freq_factor <= rope.low_freq_factor)
      throw FormatError(fields.quote("high_freq_factor") + ", must exceed low_freq_factor");
    known.insert(
        {"factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"});
  } else if (rope.type != "default") {
    throw UnsupportedError(std::string("config.json: ") + name + " has the type \"" + rope.type +
                               "\", which is not implemented",
                           "known: default, linear, llama3");
  }
  for (const auto& [key, value] : object.items())
    if (!value.is_null() && known.count(key) == 0)
      throw UnsupportedError(fields.quote(key) + ", which the rope type \"" + rope.type +
                             "\" does not have here");
  return rope;
}

void read_sizes(const ConfigReader& config, ModelConfig& model) {
  const bool ffn = config.has("ffn_dim") && !config.has("intermediate_size");
  model.vocab = config.integer("vocab_size", 1, kMaxVocab);
  model.hidden = config.integer("hidden_size", 1, kMaxWidth);
  model.intermediate = config.integer(ffn ? "ffn_dim" : "intermediate_size", 1, kMaxWidth);
  model.max_positions = config.integer("max_position_embeddings", 1, kMaxPositions);
  model.blocks = config.integer("num_hidden_layers", 1, kMaxBlocks);
  model.heads = config.integer("num_attention_heads", 1, kMaxHeads);
  model.kv_heads = config.integer("num_key_value_heads", 1, kMaxHeads, model.heads);
  if (model.heads % model.kv_heads != 0)
    throw FormatError(config.quote("num_key_value_heads") + ", must divide num_attention_heads " +
                      std::to_string(model.heads));
  if (!config.has("head_dim") && model.hidden % model.heads != 0)
    throw FormatError(config.quote("num_attention_heads") + ", must divide hidden_size " +
                      std::to_string(model.hidden));
  model.head_dim = config.integer("head_dim", 1, kMaxHeadDim, model.hidden / model.heads);
}

}  // namespace

ModelConfig ModelConfig::from_json(const Json& object) {
  if (!object.is_object()) throw FormatError("config.json is not an object");
  const ConfigReader config(object, "config.json");
  ModelConfig model;
  model.raw = object;
  model.model_type = config.text("model_type");
  model.dtype = config.text(config.has("dtype") ? "dtype" : "torch_dtype", "float32");
  read_sizes(config, model);
  for (const auto& [key, neutral] : neutral_fields())
    config.expect(key, neutral);
  model.norm_epsilon = config.positive("rms_norm_eps", 1e-6);
  model.activation =
      config.text(config.has("activation_function") ? "activation_function" : "hidden_act", "");
  model.tied_embeddings = config.flag("tie_word_embeddings", false);
  model.rope = read_rope(config, model.max_positions);
  return model;
}

}  // namespace ptq
