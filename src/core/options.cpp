#include "ptq/core/options.h"

#include <algorithm>

namespace ptq {

ConfigError Options::wrong(const std::string& key, const std::string& fault,
                           const std::string& help) const {
  return ConfigError(
      owner_ + ": option \"" + key + "\" " + fault + ", not " + values_.at(key).dump(), help);
}

std::string Options::get_choice(const std::string& key, const std::string& fallback,
                                const std::vector<std::string>& choices, const std::string& help) {
  std::string joined;
  for (const std::string& choice : choices)
    joined += (joined.empty() ? "" : "|") + choice;
  const std::string value = get<std::string>(key, fallback, help + " (" + joined + ")");
  if (std::find(choices.begin(), choices.end(), value) == choices.end())
    throw wrong(key, "must be one of " + joined, help);
  return value;
}

void Options::expect_all_read() const {
  for (const auto& item : values_.items()) {
    const auto same = [&](const OptionInfo& info) { return info.key == item.key(); };
    if (std::any_of(read_.begin(), read_.end(), same)) continue;
    std::string known;
    for (const OptionInfo& info : read_)
      known += (known.empty() ? "" : ", ") + info.key;
    throw ConfigError(owner_ + ": unknown option \"" + item.key() + "\"",
                      known.empty() ? "it has no options" : "known options: " + known);
  }
}

}  // namespace ptq
