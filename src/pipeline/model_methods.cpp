#include <algorithm>

#include "ptq/pipeline/model_method.h"
#include "ptq/quantizers/quantizer.h"

namespace ptq {
namespace model_method {
std::unique_ptr<ModelMethod> requant(Options&);
}  // namespace model_method

const Registry<ModelMethod>& model_methods() {
  static const Registry<ModelMethod> registry("model-method",
                                              {
                                                  {"requant", model_method::requant},
                                              });
  return registry;
}

std::unique_ptr<ModelMethod> model_method_of(const QuantizeJob& job) {
  const auto has = [&](const std::vector<std::string>& names) {
    return std::find(names.begin(), names.end(), job.method) != names.end();
  };
  std::vector<std::string> all = model_methods().names();
  if (has(all))
    return model_methods().make(job.method, job.plugin_options.value(job.method, Json::object()));
  const std::vector<std::string> others = quantizers().names();
  if (has(others)) return nullptr;
  all.insert(all.end(), others.begin(), others.end());
  std::sort(all.begin(), all.end());
  std::string known;
  for (const std::string& name : all)
    known += (known.empty() ? "" : ", ") + name;
  throw ConfigError("unknown method \"" + job.method + "\"", "known: " + known);
}

}  // namespace ptq
