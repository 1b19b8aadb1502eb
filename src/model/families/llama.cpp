// Llama (Touvron et al., arXiv:2302.13971) and what has its config: optional biases, any head_dim.
#include "../config_reader.h"
#include "../decoder.h"

namespace ptq::family {
namespace {

class Llama : public ModelFamily {
 public:
  std::unique_ptr<CausalLM> open(WeightSource weights, const ModelConfig& config) const override {
    const ConfigReader fields(config.raw, "config.json");
    DecoderFacts facts;
    fields.expect("sliding_window", nullptr);
    facts.qkv_bias = facts.output_bias = fields.flag("attention_bias", false);
    facts.mlp_bias = fields.flag("mlp_bias", false);
    facts.windows = attention_windows(config, 0, 0);
    return open_decoder(std::move(weights), config, std::move(facts));
  }
};

}  // namespace

std::unique_ptr<ModelFamily> llama(Options& /*options*/) {
  return std::make_unique<Llama>();
}

}  // namespace ptq::family
