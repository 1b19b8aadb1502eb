#include <algorithm>
#include <optional>

#include "command.h"
#include "ptq/io/json.h"

namespace ptq::cli {
namespace {

/// The file named by --config, or nothing.
std::optional<std::string> config_path(const std::vector<std::string>& args) {
  static const std::string kFlag = "--config";
  for (size_t i = 0; i < args.size(); ++i) {
    if (args[i] == kFlag && i + 1 < args.size()) return args[i + 1];
    if (args[i].rfind(kFlag + "=", 0) == 0) return args[i].substr(kFlag.size() + 1);
  }
  return std::nullopt;
}

std::string scalar(const Json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

/// "--key value …" of one entry; a list gives each item, `false` nothing.
void append(const std::string& flag, const Json& value, std::vector<std::string>& out) {
  if (value.is_boolean()) {
    if (value.get<bool>()) out.push_back(flag);
    return;
  }
  // One flag a value, joined by '=': a value that starts with a dash (--group-size=-1) is no flag.
  if (!value.is_array()) {
    out.push_back(flag + "=" + scalar(value));
    return;
  }
  for (const Json& item : value)
    out.push_back(flag + "=" + scalar(item));
}

}  // namespace

std::vector<std::string> expand_config(const std::vector<std::string>& args, const CLI::App& app) {
  const auto path = config_path(args);
  if (!path || args.empty()) return args;
  const auto commands =
      app.get_subcommands([&](const CLI::App* command) { return command->get_name() == args[0]; });
  if (commands.empty()) return args;
  const Json config = read_json_file(*path);
  if (!config.is_object()) throw ConfigError(*path + " is not a JSON object");
  std::vector<std::string> expanded = {args[0]};
  for (const auto& item : config.items()) {
    const std::string flag = "--" + item.key();
    const CLI::Option* option = commands[0]->get_option_no_throw(flag);
    if (option == nullptr || item.key() == "config")
      throw ConfigError(*path + ": " + args[0] + " has no option \"" + item.key() + "\"",
                        "keys are the long flags without dashes; see ptq " + args[0] + " --help");
    if (item.value().is_object() || item.value().is_null())
      throw ConfigError(*path + ": \"" + item.key() +
                        "\" must be a string, a number, a boolean or a list");
    if (item.value().is_boolean() != (option->get_items_expected_max() == 0))
      throw ConfigError(*path + ": \"" + item.key() + "\" has the wrong type",
                        "true or false for a flag, a value for an option");
    const bool typed = std::any_of(args.begin(), args.end(), [&](const std::string& arg) {
      return arg == flag || arg.rfind(flag + "=", 0) == 0;
    });
    if (!typed) append(flag, item.value(), expanded);
  }
  expanded.insert(expanded.end(), args.begin() + 1, args.end());
  return expanded;
}

}  // namespace ptq::cli
