#include "model/plain_formula.h"

#include <algorithm>
#include <cmath>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

namespace ptq::testing {
namespace {

/// The model's tensors in float64 and its config.
class Formula {
 public:
  explicit Formula(const TinyModel& model) : model_(model), config_(model.config) {}

  at::Tensor get(const std::string& name) const { return model_.tensors.at(name).to(at::kDouble); }
  bool has(const std::string& name) const { return model_.tensors.count(name) > 0; }
  int64_t size(const std::string& key) const { return config_.at(key).get<int64_t>(); }
  int64_t size(const std::string& key, int64_t fallback) const {
    return config_.value(key, fallback);
  }

  at::Tensor linear(const at::Tensor& x, const std::string& name) const {
    const at::Tensor y = at::matmul(x, get(name + ".weight").t());
    return has(name + ".bias") ? y + get(name + ".bias") : y;
  }
  at::Tensor rms(const at::Tensor& x, const std::string& name) const {
    return x / at::sqrt((x * x).mean(-1, true) + 1e-6) * get(name + ".weight");
  }
  at::Tensor layer(const at::Tensor& x, const std::string& name) const {
    const at::Tensor centred = x - x.mean(-1, true);
    return centred / at::sqrt((centred * centred).mean(-1, true) + 1e-5) * get(name + ".weight") +
           get(name + ".bias");
  }

  /// Every head of x [seq, heads·d] turned by its position, each pair (i, i + d/2) as a complex
  /// number.
  static at::Tensor turned(const at::Tensor& x, int64_t d) {
    at::Tensor out = x.clone();
    auto to = out.accessor<double, 2>();
    const auto from = x.accessor<double, 2>();
    for (int64_t t = 0; t < x.size(0); ++t) {
      for (int64_t c = 0; c < x.size(1); ++c) {
        const int64_t pair = c % d % (d / 2), first = c / d * d + pair, second = first + d / 2;
        const double angle =
            static_cast<double>(t) *
            std::pow(10000.0, -2.0 * static_cast<double>(pair) / static_cast<double>(d));
        to[t][c] = c == first
                       ? from[t][first] * std::cos(angle) - from[t][second] * std::sin(angle)
                       : from[t][first] * std::sin(angle) + from[t][second] * std::cos(angle);
      }
    }
    return out;
  }

  /// Attention of one sequence: q [seq, heads·d], k and v [seq, kv·d].
  at::Tensor attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) const {
    const int64_t heads = size("num_attention_heads"), kv = size("num_key_value_heads", heads);
    const int64_t d = q.size(1) / heads, window = size("sliding_window", 1 << 20);
    at::Tensor out = at::zeros_like(q);
    for (int64_t h = 0; h < heads; ++h) {
      const int64_t shared = h / (heads / kv) * d;
      const at::Tensor keys = k.narrow(1, shared, d), values = v.narrow(1, shared, d);
      for (int64_t t = 0; t < q.size(0); ++t) {
        const int64_t first = std::max<int64_t>(0, t - window + 1), count = t - first + 1;
        const at::Tensor scores = at::mv(keys.narrow(0, first, count), q[t].narrow(0, h * d, d)) /
                                  std::sqrt(static_cast<double>(d));
        const at::Tensor weights = at::softmax(scores, 0).unsqueeze(1);
        out[t].narrow(0, h * d, d).copy_((weights * values.narrow(0, first, count)).sum(0));
      }
    }
    return out;
  }

  at::Tensor attention(const at::Tensor& x, const std::string& prefix, bool rotary) const {
    at::Tensor q = linear(x, prefix + "q_proj"), k = linear(x, prefix + "k_proj");
    const int64_t d = q.size(1) / size("num_attention_heads");
    if (rotary) q = turned(q, d), k = turned(k, d);
    return attend(q, k, linear(x, prefix + "v_proj"));
  }

  at::Tensor llama(const at::Tensor& ids) const {
    at::Tensor x = get("model.embed_tokens.weight").index_select(0, ids);
    for (int64_t i = 0; i < size("num_hidden_layers"); ++i) {
      const std::string prefix = "model.layers." + std::to_string(i) + ".";
      const at::Tensor inner =
          attention(rms(x, prefix + "input_layernorm"), prefix + "self_attn.", true);
      x = x + linear(inner, prefix + "self_attn.o_proj");
      const at::Tensor m = rms(x, prefix + "post_attention_layernorm");
      const at::Tensor gate = linear(m, prefix + "mlp.gate_proj");
      x = x + linear(gate / (1 + at::exp(-gate)) * linear(m, prefix + "mlp.up_proj"),
                     prefix + "mlp.down_proj");
    }
    const bool tied = config_.value("tie_word_embeddings", false);
    return linear(rms(x, "model.norm"), tied ? "model.embed_tokens" : "lm_head");
  }

  at::Tensor opt(const at::Tensor& ids) const {
    const std::string top = "model.decoder.";
    const bool before = config_.at("do_layer_norm_before");
    at::Tensor x = get(top + "embed_tokens.weight").index_select(0, ids);
    if (has(top + "project_in.weight")) x = linear(x, top + "project_in");
    x = x + get(top + "embed_positions.weight").narrow(0, 2, ids.size(0));
    for (int64_t i = 0; i < size("num_hidden_layers"); ++i) {
      const std::string prefix = top + "layers." + std::to_string(i) + ".";
      const std::string first = prefix + "self_attn_layer_norm",
                        second = prefix + "final_layer_norm";
      x = x + linear(attention(before ? layer(x, first) : x, prefix + "self_attn.", false),
                     prefix + "self_attn.out_proj");
      if (!before) x = layer(x, first);
      const at::Tensor wide = linear(before ? layer(x, second) : x, prefix + "fc1");
      x = x + linear(wide.clamp_min(0), prefix + "fc2");
      if (!before) x = layer(x, second);
    }
    if (before) x = layer(x, top + "final_layer_norm");
    if (has(top + "project_out.weight")) x = linear(x, top + "project_out");
    return linear(x, top + "embed_tokens");
  }

 private:
  const TinyModel& model_;
  const Json& config_;
};

}  // namespace

at::Tensor plain_logits(const TinyModel& model, const at::Tensor& tokens) {
  const at::NoGradGuard no_grad;
  const Formula formula(model);
  std::vector<at::Tensor> rows;
  for (int64_t i = 0; i < tokens.size(0); ++i)
    rows.push_back(model.config.at("model_type") == "opt" ? formula.opt(tokens[i])
                                                          : formula.llama(tokens[i]));
  return at::stack(rows);
}

}  // namespace ptq::testing
