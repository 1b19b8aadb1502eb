#include "support/tiny_model.h"

#include <cmath>
#include <fstream>

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include "ptq/core/error.h"
#include "ptq/io/safetensors.h"

namespace ptq::testing {
namespace {

/// Fills a checkpoint with weights of the size trained models have.
class Filler {
 public:
  Filler(std::map<std::string, at::Tensor>& tensors, at::ScalarType dtype, uint64_t seed)
      : tensors_(tensors), dtype_(dtype), random_(at::detail::createCPUGenerator(seed)) {}

  void matrix(const std::string& name, int64_t out, int64_t in) {
    put(name, at::randn({out, in}, random_) / std::sqrt(static_cast<double>(in)));
  }
  void table(const std::string& name, int64_t rows, int64_t width) {
    put(name, at::randn({rows, width}, random_));
  }
  void gain(const std::string& name, int64_t width) {
    put(name, 1 + 0.2 * at::randn({width}, random_));
  }
  void vector(const std::string& name, int64_t width) {
    put(name, 0.3 * at::randn({width}, random_));
  }
  void linear(const std::string& name, int64_t out, int64_t in, bool bias) {
    matrix(name + ".weight", out, in);
    if (bias) vector(name + ".bias", out);
  }
  void norm(const std::string& name, int64_t width) {
    gain(name + ".weight", width);
    vector(name + ".bias", width);
  }

 private:
  void put(const std::string& name, const at::Tensor& value) { tensors_[name] = value.to(dtype_); }

  std::map<std::string, at::Tensor>& tensors_;
  at::ScalarType dtype_;
  at::Generator random_;
};

}  // namespace

at::Tensor MemorySource::tensor(const std::string& name) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) throw FormatError("no tensor " + name);
  return found->second;
}

std::vector<std::string> MemorySource::names() const {
  std::vector<std::string> names;
  for (const auto& entry : tensors_)
    names.push_back(entry.first);
  return names;
}

void TinyModel::write(const std::filesystem::path& directory) const {
  std::filesystem::create_directories(directory);
  std::ofstream(directory / "config.json") << config.dump(2) << '\n';
  write_safetensors(directory / "model.safetensors", tensors, {{"format", "pt"}});
}

TinyModel tiny_llama(const TinyLlamaOptions& o) {
  TinyModel model;
  model.config = {{"model_type", o.model_type},
                  {"vocab_size", o.vocab},
                  {"hidden_size", o.hidden},
                  {"intermediate_size", o.intermediate},
                  {"num_hidden_layers", o.blocks},
                  {"num_attention_heads", o.heads},
                  {"num_key_value_heads", o.kv_heads},
                  {"head_dim", o.head_dim},
                  {"max_position_embeddings", 256},
                  {"rms_norm_eps", 1e-6},
                  {"rope_theta", 10000.0},
                  {"hidden_act", "silu"},
                  {"tie_word_embeddings", o.tied},
                  {"torch_dtype", o.dtype == at::kBFloat16 ? "bfloat16" : "float32"}};
  if (o.bias) model.config["attention_bias"] = model.config["mlp_bias"] = true;
  Filler fill(model.tensors, o.dtype, o.seed);
  fill.table("model.embed_tokens.weight", o.vocab, o.hidden);
  if (!o.tied) fill.matrix("lm_head.weight", o.vocab, o.hidden);
  fill.gain("model.norm.weight", o.hidden);
  for (int64_t block = 0; block < o.blocks; ++block) {
    const std::string prefix = "model.layers." + std::to_string(block) + ".";
    const int64_t q = o.heads * o.head_dim, kv = o.kv_heads * o.head_dim;
    fill.gain(prefix + "input_layernorm.weight", o.hidden);
    fill.gain(prefix + "post_attention_layernorm.weight", o.hidden);
    fill.linear(prefix + "self_attn.q_proj", q, o.hidden, o.bias);
    fill.linear(prefix + "self_attn.k_proj", kv, o.hidden, o.bias);
    fill.linear(prefix + "self_attn.v_proj", kv, o.hidden, o.bias);
    fill.linear(prefix + "self_attn.o_proj", o.hidden, q, o.bias);
    fill.linear(prefix + "mlp.gate_proj", o.intermediate, o.hidden, o.bias);
    fill.linear(prefix + "mlp.up_proj", o.intermediate, o.hidden, o.bias);
    fill.linear(prefix + "mlp.down_proj", o.hidden, o.intermediate, o.bias);
  }
  return model;
}

TinyModel tiny_opt(const TinyOptOptions& o) {
  TinyModel model;
  model.config = {{"model_type", "opt"},
                  {"vocab_size", o.vocab},
                  {"hidden_size", o.hidden},
                  {"ffn_dim", o.intermediate},
                  {"num_hidden_layers", o.blocks},
                  {"num_attention_heads", o.heads},
                  {"max_position_embeddings", o.max_positions},
                  {"word_embed_proj_dim", o.embedding},
                  {"do_layer_norm_before", o.norm_before},
                  {"activation_function", "relu"},
                  {"torch_dtype", "float32"}};
  const std::string top = "model.decoder.";
  Filler fill(model.tensors, at::kFloat, o.seed);
  fill.table(top + "embed_tokens.weight", o.vocab, o.embedding);
  fill.table(top + "embed_positions.weight", o.max_positions + 2, o.hidden);
  if (o.norm_before) fill.norm(top + "final_layer_norm", o.hidden);
  if (o.embedding != o.hidden) {
    fill.matrix(top + "project_in.weight", o.hidden, o.embedding);
    fill.matrix(top + "project_out.weight", o.embedding, o.hidden);
  }
  for (int64_t block = 0; block < o.blocks; ++block) {
    const std::string prefix = top + "layers." + std::to_string(block) + ".";
    fill.norm(prefix + "self_attn_layer_norm", o.hidden);
    fill.norm(prefix + "final_layer_norm", o.hidden);
    for (const char* name : {"q_proj", "k_proj", "v_proj", "out_proj"})
      fill.linear(prefix + "self_attn." + name, o.hidden, o.hidden, true);
    fill.linear(prefix + "fc1", o.intermediate, o.hidden, true);
    fill.linear(prefix + "fc2", o.hidden, o.intermediate, true);
  }
  return model;
}

at::Tensor random_tokens(int64_t batch, int64_t seq, int64_t vocab, uint64_t seed) {
  return at::randint(vocab, {batch, seq}, at::detail::createCPUGenerator(seed),
                     at::TensorOptions().dtype(at::kLong));
}

}  // namespace ptq::testing
