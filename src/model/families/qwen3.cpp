// Qwen3 (arXiv:2505.09388): Llama with an RMS norm of every query and key head; window as Qwen2.
#include "../config_reader.h"
#include "../decoder.h"

namespace ptq::family {
namespace {

class Qwen3 : public ModelFamily {
 public:
  std::unique_ptr<CausalLM> open(WeightSource weights, const ModelConfig& config) const override {
    const ConfigReader fields(config.raw, "config.json");
    DecoderFacts facts;
    fields.expect("mlp_bias", false);
    facts.qkv_bias = facts.output_bias = fields.flag("attention_bias", false);
    facts.head_norms = true;
    facts.windows = upper_windows(config);
    return open_decoder(std::move(weights), config, std::move(facts));
  }
};

}  // namespace

std::unique_ptr<ModelFamily> qwen3(Options& /*options*/) {
  return std::make_unique<Qwen3>();
}

}  // namespace ptq::family
