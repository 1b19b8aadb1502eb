// Mistral (Jiang et al., arXiv:2310.06825): Llama with a sliding window in every block.
#include "../config_reader.h"
#include "../decoder.h"

namespace ptq::family {
namespace {

class Mistral : public ModelFamily {
 public:
  std::unique_ptr<CausalLM> open(WeightSource weights, const ModelConfig& config) const override {
    const ConfigReader fields(config.raw, "config.json");
    DecoderFacts facts;
    fields.expect("attention_bias", false);
    fields.expect("mlp_bias", false);
    facts.windows =
        attention_windows(config, fields.integer("sliding_window", 1, kMaxWindow, 0), 0);
    return open_decoder(std::move(weights), config, std::move(facts));
  }
};

}  // namespace

std::unique_ptr<ModelFamily> mistral(Options& /*options*/) {
  return std::make_unique<Mistral>();
}

}  // namespace ptq::family
