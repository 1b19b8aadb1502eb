// Qwen2 and Qwen2.5 (arXiv:2407.10671): Llama with biases of q, k, v and, if switched on, a sliding
// window in the upper blocks.
#include "../config_reader.h"
#include "../decoder.h"

namespace ptq::family {
namespace {

class Qwen2 : public ModelFamily {
 public:
  std::unique_ptr<CausalLM> open(WeightSource weights, const ModelConfig& config) const override {
    const ConfigReader fields(config.raw, "config.json");
    DecoderFacts facts;
    fields.expect("attention_bias", true);
    fields.expect("mlp_bias", false);
    facts.qkv_bias = true;
    facts.windows = upper_windows(config);
    return open_decoder(std::move(weights), config, std::move(facts));
  }
};

}  // namespace

std::unique_ptr<ModelFamily> qwen2(Options& /*options*/) {
  return std::make_unique<Qwen2>();
}

}  // namespace ptq::family
