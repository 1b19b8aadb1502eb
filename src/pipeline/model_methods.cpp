#include <algorithm>

#include "ptq/pipeline/model_method.h"

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
  const std::vector<std::string> names = model_methods().names();
  if (std::find(names.begin(), names.end(), job.method) == names.end()) return nullptr;
  return model_methods().make(job.method, job.plugin_options.value(job.method, Json::object()));
}

}  // namespace ptq
