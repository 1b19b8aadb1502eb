#pragma once
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ptq/core/options.h"

namespace ptq {

/// The plug-ins of one kind, by the name used on the command line and in configs.
template <class Plugin>
class Registry {
 public:
  using Factory = std::unique_ptr<Plugin> (*)(Options&);

  Registry(std::string kind, std::map<std::string, Factory> factories)
      : kind_(std::move(kind)), factories_(std::move(factories)) {}

  /// Builds the plug-in `name` with the JSON object `values`.  Throws ConfigError for an unknown
  /// name (listing the known ones), for a wrong value and for any option the plug-in did not read.
  std::unique_ptr<Plugin> make(const std::string& name, const Json& values = Json::object()) const {
    Options options(values, kind_ + " " + name);
    auto plugin = factory(name)(options);
    options.expect_all_read();
    return plugin;
  }

  /// The options that the plug-in `name` reads, with their defaults.
  std::vector<OptionInfo> options(const std::string& name) const {
    Options options(Json::object(), kind_ + " " + name);
    factory(name)(options);
    return options.read();
  }

  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& entry : factories_)
      names.push_back(entry.first);
    return names;
  }

  const std::string& kind() const& { return kind_; }

 private:
  Factory factory(const std::string& name) const {
    const auto found = factories_.find(name);
    if (found != factories_.end()) return found->second;
    std::string known;
    for (const auto& entry : factories_)
      known += (known.empty() ? "" : ", ") + entry.first;
    throw ConfigError("unknown " + kind_ + " \"" + name + "\"", "known: " + known);
  }

  std::string kind_;
  std::map<std::string, Factory> factories_;
};
}  // namespace ptq
