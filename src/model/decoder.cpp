#include "decoder.h"

#include <utility>

#include "attention.h"
#include "config_reader.h"
#include "ptq/core/error.h"
#include "rope.h"
#include "row_ops.h"
#include "weights.h"

namespace ptq {
namespace {

enum StageIndex : size_t { kQkv, kOutput, kGateUp, kDown };

constexpr const char* kEmbedding = "model.embed_tokens.weight";
constexpr const char* kHead = "lm_head.weight";

std::string prefix_of(int64_t block) {
  return "model.layers." + std::to_string(block) + ".";
}

/// The stages of one block as sites.
std::vector<std::vector<LinearSite>> sites_of(const ModelConfig& config, int64_t block) {
  const std::string prefix = prefix_of(block);
  const std::string attention = prefix + "self_attn.", mlp = prefix + "mlp.";
  const int64_t q = config.heads * config.head_dim, kv = config.kv_heads * config.head_dim;
  const int64_t hidden = config.hidden, wide = config.intermediate;
  std::vector<std::vector<LinearSite>> stages(4);
  const auto add = [&](StageIndex stage, const std::string& name, const std::string& producer,
                       int64_t out, int64_t in) {
    const std::string input = (stage < kGateUp ? attention : mlp) +
                              (stage == kQkv || stage == kGateUp ? "input" : "inner");
    stages[stage].push_back(
        {name, input, static_cast<int>(block), static_cast<int>(stage), out, in, producer});
  };
  const std::string first_norm = prefix + "input_layernorm";
  const std::string second_norm = prefix + "post_attention_layernorm";
  add(kQkv, attention + "q_proj", first_norm, q, hidden);
  add(kQkv, attention + "k_proj", first_norm, kv, hidden);
  add(kQkv, attention + "v_proj", first_norm, kv, hidden);
  stages[kQkv][0].scores_only = stages[kQkv][1].scores_only = true;
  add(kOutput, attention + "o_proj", attention + "v_proj", hidden, q);
  add(kGateUp, mlp + "gate_proj", second_norm, wide, hidden);
  add(kGateUp, mlp + "up_proj", second_norm, wide, hidden);
  add(kDown, mlp + "down_proj", mlp + "up_proj", hidden, wide);
  return stages;
}

class DecoderBlock : public Block {
 public:
  DecoderBlock(const Weights& weights, const ModelConfig& config, const DecoderFacts& facts,
               std::shared_ptr<const RopeTable> rope, int64_t block)
      : epsilon_(config.norm_epsilon), rope_(std::move(rope)) {
    const std::string prefix = prefix_of(block);
    shape_ = {config.heads, config.kv_heads, config.head_dim,
              facts.windows[static_cast<size_t>(block)]};
    attention_norm_ = weights.load(prefix + "input_layernorm.weight", {config.hidden});
    mlp_norm_ = weights.load(prefix + "post_attention_layernorm.weight", {config.hidden});
    if (facts.head_norms) {
      q_norm_ = weights.load(prefix + "self_attn.q_norm.weight", {config.head_dim});
      k_norm_ = weights.load(prefix + "self_attn.k_norm.weight", {config.head_dim});
    }
    for (const std::vector<LinearSite>& sites : sites_of(config, block)) {
      const size_t index = stages_.size();
      const bool bias = index == kQkv      ? facts.qkv_bias
                        : index == kOutput ? facts.output_bias
                                           : facts.mlp_bias;
      Stage& stage = stages_.emplace_back();
      stage.input = sites.front().input;
      for (const LinearSite& site : sites)
        stage.linears.push_back(weights.load_linear(site, bias));
    }
  }

  at::Tensor stage_input(size_t index, const BlockState& state) const override {
    if (index == kQkv) return rms_norm(state.hidden, attention_norm_, epsilon_);
    if (index == kGateUp) return rms_norm(state.hidden, mlp_norm_, epsilon_);
    return state.carried;
  }

  void accept(size_t index, std::vector<at::Tensor> outputs, BlockState& state) const override {
    if (index == kQkv) {
      state.carried = attention(std::move(outputs));
    } else if (index == kGateUp) {
      state.carried = silu_mul(std::move(outputs[0]), outputs[1]);
    } else {
      state.hidden = add_residual(state.hidden, std::move(outputs[0]));
      state.carried = at::Tensor();
    }
  }

  bool ends_in_sum() const override { return true; }

  std::map<std::string, at::Tensor*> norms() override {
    return {{producer_of(kQkv) + ".weight", &attention_norm_},
            {producer_of(kGateUp) + ".weight", &mlp_norm_}};
  }

  InputProducer input_producer(size_t index) const override {
    InputProducer producer = Block::input_producer(index);
    // Query heads that share a value head read the same channels of v.
    if (index == kOutput) producer.channel = value_channels(shape_);
    return producer;
  }

 private:
  const std::string& producer_of(StageIndex stage) const {
    return stages_[stage].linears.front().site().producer;
  }

  at::Tensor attention(std::vector<at::Tensor> qkv) const {
    const auto [cos, sin] = rope_->rows(qkv[0].size(1), qkv[0].device());
    if (q_norm_.defined()) {
      qkv[0] = rms_norm_heads(std::move(qkv[0]), q_norm_, epsilon_);
      qkv[1] = rms_norm_heads(std::move(qkv[1]), k_norm_, epsilon_);
    }
    qkv[0] = rotate(std::move(qkv[0]), cos, sin);
    qkv[1] = rotate(std::move(qkv[1]), cos, sin);
    return causal_attention(std::move(qkv[0]), qkv[1], qkv[2], shape_);
  }

  double epsilon_;
  AttentionShape shape_;
  std::shared_ptr<const RopeTable> rope_;
  at::Tensor attention_norm_, mlp_norm_, q_norm_, k_norm_;
};

class Decoder : public CausalLM {
 public:
  Decoder(WeightSource source, const ModelConfig& config, DecoderFacts facts)
      : config_(config), facts_(std::move(facts)), weights_(std::move(source)) {
    if (config.activation != "silu" && config.activation != "swish")
      throw UnsupportedError("config.json: hidden_act is \"" + config.activation +
                             "\", which is not implemented for " + config.model_type +
                             "; only silu is");
    if (config.head_dim % 2 != 0)
      throw FormatError("config.json: head_dim is " + std::to_string(config.head_dim) +
                        ", must be even for rotary positions");
    rope_ = std::make_shared<RopeTable>(config.rope, config.head_dim);
    embedding_ = config.tied_embeddings ? weights_.either(kEmbedding, kHead) : kEmbedding;
    weights_.stored(embedding_, {config.vocab, config.hidden});
    weights_.stored("model.norm.weight", {config.hidden});
    stored_head();
  }

  const ModelConfig& config() const override { return config_; }
  at::Device device() const override { return weights_.device(); }

  std::vector<LinearSite> sites() const override {
    std::vector<LinearSite> all;
    for (int64_t block = 0; block < config_.blocks; ++block)
      for (const std::vector<LinearSite>& stage : sites_of(config_, block))
        all.insert(all.end(), stage.begin(), stage.end());
    return all;
  }

  at::Tensor embed(const at::Tensor& tokens) const override {
    return weights_.rows(embedding_, {config_.vocab, config_.hidden}, tokens);
  }

  std::unique_ptr<Block> load_block(int64_t index) const override {
    return std::make_unique<DecoderBlock>(weights_, config_, facts_, rope_, index);
  }

  at::Tensor final_norm(const at::Tensor& hidden) const override {
    return rms_norm(hidden, weights_.load("model.norm.weight", {config_.hidden}),
                    config_.norm_epsilon);
  }

  at::Tensor head_weight() const override { return stored_head().to(weights_.device()); }

  std::string block_prefix(int64_t index) const override { return prefix_of(index); }

 private:
  at::Tensor stored_head() const {
    return weights_.stored(config_.tied_embeddings ? embedding_ : kHead,
                           {config_.vocab, config_.hidden});
  }

  ModelConfig config_;
  DecoderFacts facts_;
  Weights weights_;
  std::string embedding_;
  std::shared_ptr<const RopeTable> rope_;
};

}  // namespace

std::unique_ptr<CausalLM> open_decoder(WeightSource weights, const ModelConfig& config,
                                       DecoderFacts facts) {
  return std::make_unique<Decoder>(std::move(weights), config, std::move(facts));
}

std::vector<int64_t> attention_windows(const ModelConfig& config, int64_t window,
                                       int64_t first_sliding) {
  std::vector<int64_t> windows;
  for (int64_t block = 0; block < config.blocks; ++block)
    windows.push_back(block < first_sliding ? 0 : window);
  const ConfigReader fields(config.raw, "config.json");
  if (!fields.has("layer_types")) return windows;

  const Json& types = config.raw.at("layer_types");
  if (!types.is_array() || types.size() != windows.size())
    throw FormatError(fields.quote("layer_types") + ", must list num_hidden_layers " +
                      std::to_string(config.blocks) + " types");
  for (size_t block = 0; block < types.size(); ++block) {
    if (types[block] != "full_attention" && types[block] != "sliding_attention")
      throw UnsupportedError(
          "config.json: layer_types has " + types[block].dump() + ", which is not implemented",
          "known: full_attention, sliding_attention");
    windows[block] = types[block] == "sliding_attention" ? window : 0;
  }
  return windows;
}

std::vector<int64_t> upper_windows(const ModelConfig& config) {
  const ConfigReader fields(config.raw, "config.json");
  const bool used = fields.flag("use_sliding_window", false);
  const int64_t window = fields.integer("sliding_window", 1, kMaxWindow, 0);
  const int64_t first = fields.integer("max_window_layers", 0, kMaxWindow, 0);
  return attention_windows(config, used ? window : 0, first);
}

}  // namespace ptq
