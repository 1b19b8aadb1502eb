#include "ptq/pipeline/scheme_plan.h"

#include <set>

#include "ptq/core/error.h"
#include "ptq/io/json.h"
#include "ptq/quant/scheme_name.h"

namespace ptq {

Json SchemePlan::to_json() const {
  Json json = Json::object();
  for (const auto& [name, scheme] : schemes)
    json[name] = scheme.name();
  for (const std::string& name : left)
    json[name] = nullptr;
  return json;
}

SchemePlan read_scheme_plan(const std::filesystem::path& file) {
  const Json json = read_json_file(file);
  const std::string where = file.string();
  std::string at;
  try {
    if (json.at("format") != kSchemePlanFormat)
      throw FormatError(where + " is no plan: its format is " + json.at("format").dump(),
                        "ptq plan MODEL --out FILE makes one");
    SchemePlan plan;
    plan.file = file;
    plan.model = json.at("inputs").at("model");
    plan.checkpoint_format = json.at("checkpoint_format");
    std::set<std::string> names;
    for (const Json& linear : json.at("linears")) {
      const std::string name = linear.at("name"), scheme = linear.at("scheme");
      at = ": " + name;
      plan.schemes[name] = parse_scheme_name(scheme);
      if (!names.insert(name).second) throw FormatError(where + " has " + name + " twice");
    }
    plan.left = json.at("left").get<std::vector<std::string>>();
    for (const std::string& name : plan.left)
      if (!names.insert(name).second) throw FormatError(where + " has " + name + " twice");
    return plan;
  } catch (const Json::exception& error) {
    throw FormatError(where + " is no plan: " + error.what(),
                      "ptq plan MODEL --out FILE makes one");
  } catch (const ConfigError& error) {
    throw FormatError(where + at + ": " + error.what());
  }
}

}  // namespace ptq
