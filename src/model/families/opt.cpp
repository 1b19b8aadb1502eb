// OPT (Zhang et al., arXiv:2205.01068): learned positions, layer norms before or after, ReLU MLP,
// biases, an optional projection between the embedding's width and the blocks'.
#include <utility>

#include <ATen/ATen.h>

#include "../attention.h"
#include "../config_reader.h"
#include "../row_ops.h"
#include "../weights.h"
#include "ptq/core/error.h"
#include "ptq/model/causal_lm.h"

namespace ptq::family {
namespace {

enum StageIndex : size_t { kQkv, kOutput, kFc1, kFc2 };

constexpr const char* kEmbedding = "model.decoder.embed_tokens.weight";
constexpr const char* kHead = "lm_head.weight";
constexpr int64_t kPositionOffset = 2;  // the table's first rows belong to fairseq's padding

std::string prefix_of(int64_t block) {
  return "model.decoder.layers." + std::to_string(block) + ".";
}

/// What only OPT's config.json holds.
struct OptFacts {
  bool bias = true, norm_before = true, final_norm = true, tied = true;
  int64_t embedding = 0;  ///< width of the embedding and the head

  static OptFacts read(const ModelConfig& config) {
    const ConfigReader fields(config.raw, "config.json");
    fields.expect("layer_norm_elementwise_affine", true);
    fields.expect("rope_scaling", nullptr);
    if (config.kv_heads != config.heads || config.head_dim * config.heads != config.hidden)
      throw UnsupportedError(
          "config.json: num_key_value_heads and head_dim other than OPT's own "
          "are not implemented for opt");
    if (fields.text("activation_function", "relu") != "relu")
      throw UnsupportedError(fields.quote("activation_function") +
                             ", which is not implemented for opt; only relu is");
    OptFacts facts;
    facts.bias = fields.flag("enable_bias", true);
    facts.norm_before = fields.flag("do_layer_norm_before", true);
    facts.final_norm = facts.norm_before && !fields.flag("_remove_final_layer_norm", false);
    facts.tied = fields.flag("tie_word_embeddings", true);
    facts.embedding = fields.integer("word_embed_proj_dim", 1, int64_t{1} << 20, config.hidden);
    return facts;
  }
};

/// LayerNorm over the last dimension with torch.nn.LayerNorm's default epsilon.
struct LayerNorm {
  std::string name;
  at::Tensor gain, bias;

  static LayerNorm load(const Weights& weights, const std::string& name, int64_t width) {
    return {name, weights.load(name + ".weight", {width}), weights.load(name + ".bias", {width})};
  }
  at::Tensor operator()(const at::Tensor& x) const {
    const auto dtype = x.scalar_type();
    return at::layer_norm(x, gain.sizes(), gain.to(dtype), bias.to(dtype), 1e-5);
  }
};

std::vector<std::vector<LinearSite>> sites_of(const ModelConfig& config, int64_t block) {
  const std::string prefix = prefix_of(block), attention = prefix + "self_attn.";
  const int64_t hidden = config.hidden, wide = config.intermediate;
  const bool norm_before = OptFacts::read(config).norm_before;
  std::vector<std::vector<LinearSite>> stages(4);
  const auto add = [&](StageIndex stage, const std::string& name, const std::string& input,
                       const std::string& producer) {
    const int64_t in = stage == kFc2 ? wide : hidden, out = stage == kFc1 ? wide : hidden;
    stages[stage].push_back({name, prefix + input, static_cast<int>(block), static_cast<int>(stage),
                             out, in, producer});
  };
  // A norm behind the residual also feeds the residual: nothing can be moved into it.
  const std::string first_norm = norm_before ? prefix + "self_attn_layer_norm" : "";
  const std::string second_norm = norm_before ? prefix + "final_layer_norm" : "";
  for (const char* name : {"q_proj", "k_proj", "v_proj"})
    add(kQkv, attention + name, "self_attn.input", first_norm);
  stages[kQkv][0].scores_only = stages[kQkv][1].scores_only = true;
  add(kOutput, attention + "out_proj", "self_attn.inner", attention + "v_proj");
  add(kFc1, prefix + "fc1", "mlp.input", second_norm);
  add(kFc2, prefix + "fc2", "mlp.inner", prefix + "fc1");
  return stages;
}

class OptBlock : public Block {
 public:
  OptBlock(const Weights& weights, const ModelConfig& config, const OptFacts& facts, int64_t block)
      : norm_before_(facts.norm_before),
        shape_{config.heads, config.heads, config.head_dim, 0},
        attention_norm_(
            LayerNorm::load(weights, prefix_of(block) + "self_attn_layer_norm", config.hidden)),
        mlp_norm_(LayerNorm::load(weights, prefix_of(block) + "final_layer_norm", config.hidden)) {
    for (const std::vector<LinearSite>& sites : sites_of(config, block)) {
      Stage& stage = stages_.emplace_back();
      stage.input = sites.front().input;
      for (const LinearSite& site : sites)
        stage.linears.push_back(weights.load_linear(site, facts.bias));
    }
  }

  at::Tensor stage_input(size_t index, const BlockState& state) const override {
    if (index == kOutput || index == kFc2) return state.carried;
    if (!norm_before_) return state.hidden;
    return index == kQkv ? attention_norm_(state.hidden) : mlp_norm_(state.hidden);
  }

  void accept(size_t index, std::vector<at::Tensor> outputs, BlockState& state) const override {
    if (index == kQkv) {
      state.carried = causal_attention(std::move(outputs[0]), outputs[1], outputs[2], shape_);
    } else if (index == kFc1) {
      state.carried = at::relu(outputs[0]);
    } else {
      state.hidden = add_residual(state.hidden, std::move(outputs[0]));
      if (!norm_before_)
        state.hidden = (index == kOutput ? attention_norm_ : mlp_norm_)(state.hidden);
      state.carried = at::Tensor();
    }
  }

  bool ends_in_sum() const override { return norm_before_; }

  std::map<std::string, at::Tensor*> norms() override {
    return {{attention_norm_.name + ".weight", &attention_norm_.gain},
            {attention_norm_.name + ".bias", &attention_norm_.bias},
            {mlp_norm_.name + ".weight", &mlp_norm_.gain},
            {mlp_norm_.name + ".bias", &mlp_norm_.bias}};
  }

  /// fc2 behind ReLU too: ReLU commutes with positive factors.
  InputProducer input_producer(size_t index) const override {
    InputProducer producer = Block::input_producer(index);
    if (!producer.refusal.empty()) producer.refusal = "its input also feeds the residual stream";
    return producer;
  }

 private:
  bool norm_before_;
  AttentionShape shape_;
  LayerNorm attention_norm_, mlp_norm_;
};

class OptModel : public CausalLM {
 public:
  OptModel(WeightSource source, const ModelConfig& config)
      : config_(config), facts_(OptFacts::read(config)), weights_(std::move(source)) {
    config_.tied_embeddings = facts_.tied;
    embedding_ = facts_.tied ? weights_.either(kEmbedding, kHead) : kEmbedding;
    weights_.stored(embedding_, {config.vocab, facts_.embedding});
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
    const int64_t seq = tokens.size(1);
    if (seq > config_.max_positions)
      throw ConfigError("a sequence of " + std::to_string(seq) + " tokens exceeds the model's " +
                        std::to_string(config_.max_positions) + " positions");
    at::Tensor hidden = weights_.rows(embedding_, {config_.vocab, facts_.embedding}, tokens);
    if (projected()) hidden = affine(hidden, project("in", config_.hidden, facts_.embedding));
    const at::Tensor position = at::arange(seq, at::kLong) + kPositionOffset;
    return hidden + weights_.rows("model.decoder.embed_positions.weight",
                                  {config_.max_positions + kPositionOffset, config_.hidden},
                                  position);
  }

  std::unique_ptr<Block> load_block(int64_t index) const override {
    return std::make_unique<OptBlock>(weights_, config_, facts_, index);
  }

  at::Tensor final_norm(const at::Tensor& hidden) const override {
    at::Tensor x = hidden;
    if (facts_.final_norm)
      x = LayerNorm::load(weights_, "model.decoder.final_layer_norm", config_.hidden)(x);
    return projected() ? affine(x, project("out", facts_.embedding, config_.hidden)) : x;
  }

  at::Tensor head_weight() const override { return stored_head().to(weights_.device()); }

  std::string block_prefix(int64_t index) const override { return prefix_of(index); }

 private:
  at::Tensor stored_head() const {
    return weights_.stored(facts_.tied ? embedding_ : kHead, {config_.vocab, facts_.embedding});
  }
  bool projected() const { return facts_.embedding != config_.hidden; }
  at::Tensor project(const std::string& way, int64_t out, int64_t in) const {
    return weights_.load("model.decoder.project_" + way + ".weight", {out, in});
  }

  ModelConfig config_;
  OptFacts facts_;
  Weights weights_;
  std::string embedding_;
};

class Opt : public ModelFamily {
 public:
  std::unique_ptr<CausalLM> open(WeightSource weights, const ModelConfig& config) const override {
    return std::make_unique<OptModel>(std::move(weights), config);
  }
};

}  // namespace

std::unique_ptr<ModelFamily> opt(Options& /*options*/) {
  return std::make_unique<Opt>();
}

}  // namespace ptq::family
