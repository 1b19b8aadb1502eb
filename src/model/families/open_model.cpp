#include <algorithm>
#include <utility>

#include "../config_reader.h"
#include "ptq/core/error.h"
#include "ptq/model/causal_lm.h"

namespace ptq {

std::unique_ptr<CausalLM> open_model(std::shared_ptr<const TensorSource> weights,
                                     const Json& config) {
  return open_model(WeightSource{std::move(weights)}, config);
}

std::unique_ptr<CausalLM> open_model(WeightSource weights, const Json& config) {
  if (!config.is_object()) throw FormatError("config.json is not an object");
  const std::string type = ConfigReader(config, "config.json").text("model_type");
  const std::vector<std::string> known = families().names();
  if (std::find(known.begin(), known.end(), type) == known.end()) {
    std::string list;
    for (const std::string& name : known)
      list += (list.empty() ? "known: " : ", ") + name;
    throw UnsupportedError("config.json: model_type " + Json(type).dump() + " is not supported",
                           list);
  }
  return families().make(type)->open(std::move(weights), ModelConfig::from_json(config));
}

}  // namespace ptq
