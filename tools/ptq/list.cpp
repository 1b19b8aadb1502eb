#include "command.h"
#include "ptq/backends/backend.h"
#include "ptq/formats/format.h"
#include "ptq/model/causal_lm.h"
#include "ptq/pipeline/model_method.h"
#include "ptq/quantizers/quantizer.h"
#include "ptq/sensitivity/estimator.h"

namespace ptq::cli {
namespace {

/// The plug-ins of one kind and their options.
template <class Plugin>
void list_kind(const Registry<Plugin>& registry, Json& json, std::string& text) {
  for (const std::string& name : registry.names()) {
    Json options = Json::array();
    text += registry.kind() + " " + name + "\n";
    for (const OptionInfo& option : registry.options(name)) {
      options.push_back({{"key", option.key}, {"default", option.fallback}, {"help", option.help}});
      text += "  --set " + name + "." + option.key + "=" + option.fallback.dump() + "\n      " +
              option.help + "\n";
    }
    json[registry.kind()][name] = {{"options", options}};
  }
}

}  // namespace

void add_list(CLI::App& app, CommonArgs& common) {
  CLI::App* command = app.add_subcommand("list",
                                         "List methods, formats, statistics, estimators, backends "
                                         "and model families with their options");
  add_common(*command, common);
  command->callback([&common] {
    apply_common(common);
    Json json = Json::object();
    std::string text;
    list_kind(quantizers(), json, text);
    list_kind(model_methods(), json, text);
    list_kind(formats(), json, text);
    list_kind(statistics(), json, text);
    list_kind(estimators(), json, text);
    list_kind(backends(), json, text);
    list_kind(families(), json, text);
    print(common.json ? json.dump(2) + "\n" : text);
  });
}

}  // namespace ptq::cli
