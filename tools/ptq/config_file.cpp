#include <algorithm>
#include <optional>
#include <set>

#include "command.h"
#include "ptq/io/json.h"

namespace ptq::cli {
namespace {

/// What was typed behind a command's name.
struct Typed {
  std::set<const CLI::Option*> options;
  std::optional<std::string> config;  ///< the value of --config
};

bool is_flag(const CLI::Option& option) {
  return option.get_items_expected_max() == 0;
}

/// Reads `args` from its second item on as CLI11 will: by every spelling of an option, and without
/// taking a value for an option.
Typed read_typed(const std::vector<std::string>& args, const CLI::App& command) {
  Typed typed;
  for (size_t i = 1; i < args.size() && args[i] != "--"; ++i) {
    const std::string& arg = args[i];
    if (arg.size() < 2 || arg[0] != '-') continue;
    const bool is_long = arg[1] == '-';
    const size_t name_end = is_long ? std::min(arg.find('='), arg.size()) : 2;
    const CLI::Option* option = command.get_option_no_throw(arg.substr(0, name_end));
    if (option == nullptr) continue;  // CLI11 refuses it, with its own message
    typed.options.insert(option);
    if (is_flag(*option)) continue;
    const bool attached = name_end < arg.size();
    if (!attached && i + 1 == args.size()) break;
    const std::string value = attached ? arg.substr(name_end + (is_long ? 1 : 0)) : args[++i];
    if (option->check_name("--config")) typed.config = value;
  }
  return typed;
}

/// Whether an option of `typed` overrides the entry for `option`: it is the same one, or one that
/// excludes it.
bool overridden(const CLI::Option& option, const Typed& typed) {
  const std::set<CLI::Option*> excluded = option.get_excludes();
  return typed.options.count(&option) > 0 ||
         std::any_of(excluded.begin(), excluded.end(),
                     [&](const CLI::Option* other) { return typed.options.count(other) > 0; });
}

/// The option of `command` that `key` names.
const CLI::Option& find_option(const CLI::App& command, const std::string& key,
                               const std::string& path) {
  const CLI::Option* option = command.get_option_no_throw("--" + key);
  if (option != nullptr && key != "config" && key != "help") return *option;
  std::string hint =
      "keys are the long flags without dashes; see ptq " + command.get_name() + " --help";
  std::string dashed = key;
  std::replace(dashed.begin(), dashed.end(), '_', '-');
  for (const std::string& other : {dashed, "no-" + dashed})
    if (other != key && command.get_option_no_throw("--" + other) != nullptr)
      hint = "there is \"" + other + "\"";
  throw ConfigError(path + ": " + command.get_name() + " has no option \"" + key + "\"", hint);
}

/// One value as a flag's text; `entry` is for the message.
std::string scalar(const Json& value, const std::string& entry) {
  if (value.is_string() ? value.get<std::string>().empty() : !value.is_number())
    throw ConfigError(entry + " holds " + value.dump(), "give a string or a number");
  return value.is_string() ? value.get<std::string>() : value.dump();
}

/// "--key=value" for each value of one entry.
std::vector<std::string> as_flags(const CLI::Option& option, const std::string& key,
                                  const Json& value, const std::string& entry) {
  const std::string flag = "--" + key + "=";
  if (value.is_boolean() != is_flag(option))
    throw ConfigError(entry + " has the wrong type",
                      "true or false for a flag, a value for an option");
  if (value.is_boolean()) return {flag + value.dump()};
  // Joined by '=': a value that starts with a dash (--group-size=-1) is no flag.
  if (!value.is_array()) return {flag + scalar(value, entry)};
  if (option.get_items_expected_max() == 1)
    throw ConfigError(entry + " is a list", "this option takes one value");
  std::vector<std::string> flags;
  for (const Json& item : value)
    flags.push_back(flag + scalar(item, entry));
  return flags;
}

}  // namespace

std::vector<std::string> expand_config(const std::vector<std::string>& args, const CLI::App& app) {
  if (args.empty()) return args;
  const auto commands =
      app.get_subcommands([&](const CLI::App* command) { return command->get_name() == args[0]; });
  if (commands.empty()) return args;
  const CLI::App& command = *commands[0];
  const Typed typed = read_typed(args, command);
  if (!typed.config) return args;
  const std::string& path = *typed.config;
  const Json config = read_json_file(path);
  if (!config.is_object()) throw ConfigError(path + " is not a JSON object");
  std::vector<std::string> expanded = {args[0]};
  std::set<const CLI::Option*> given;
  for (const auto& item : config.items()) {
    const CLI::Option& option = find_option(command, item.key(), path);
    const std::string entry = path + ": \"" + item.key() + "\"";
    const auto flags = as_flags(option, item.key(), item.value(), entry);
    for (const CLI::Option* other : option.get_excludes())
      if (given.count(other) > 0)
        throw ConfigError(entry + " and \"" + other->get_lnames().front() + "\" exclude each other",
                          "keep one of them");
    given.insert(&option);
    if (!overridden(option, typed)) expanded.insert(expanded.end(), flags.begin(), flags.end());
  }
  expanded.insert(expanded.end(), args.begin() + 1, args.end());
  return expanded;
}

}  // namespace ptq::cli
