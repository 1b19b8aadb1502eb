#pragma once
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "ptq/core/error.h"

namespace ptq {
using Json = nlohmann::json;

/// One option a plug-in or command reads: what `ptq list` shows.
struct OptionInfo {
  std::string key;
  Json fallback;
  std::string help;  ///< one sentence, with the allowed range or choices
};

/// The options of one plug-in, from `--set NAME.key=value` or the config file.  Every read names
/// its default and its meaning; a key nobody read is an error.
class Options {
 public:
  /// `values`: a JSON object; `owner`: who reads it, for messages ("quantizer gptq").
  Options(Json values, std::string owner) : values_(std::move(values)), owner_(std::move(owner)) {}

  /// The value under `key`, or `fallback` when absent.  Throws ConfigError if the type does not
  /// fit.
  template <class T>
  T get(const std::string& key, T fallback, const std::string& help) {
    read_.push_back({key, fallback, help});
    if (!values_.contains(key)) return fallback;
    const Json& value = values_.at(key);
    // nlohmann converts true to 1 and 2.9 to 2 without a word; a user's slip must not pass.
    const bool fits = std::is_same_v<T, bool>          ? value.is_boolean()
                      : std::is_integral_v<T>          ? value.is_number_integer()
                      : std::is_floating_point_v<T>    ? value.is_number()
                      : std::is_same_v<T, std::string> ? value.is_string()
                                                       : true;
    if (!fits) throw wrong(key, "has the wrong type", help);
    return value.get<T>();
  }

  /// As `get`, and throws ConfigError unless low <= value <= high.
  template <class T>
  T get_in(const std::string& key, T fallback, T low, T high, const std::string& help) {
    const T value = get<T>(key, fallback, help);
    if (!(value >= low && value <= high))
      throw wrong(key, "must be in [" + Json(low).dump() + ", " + Json(high).dump() + "]", help);
    return value;
  }

  /// As `get` for a string, and throws ConfigError unless the value is one of `choices`.
  std::string get_choice(const std::string& key, const std::string& fallback,
                         const std::vector<std::string>& choices, const std::string& help);

  /// Throws ConfigError if `values` holds a key that was never read, listing the known ones.
  void expect_all_read() const;

  /// Every option read so far.
  const std::vector<OptionInfo>& read() const& { return read_; }

 private:
  ConfigError wrong(const std::string& key, const std::string& fault,
                    const std::string& help) const;

  Json values_;
  std::string owner_;
  std::vector<OptionInfo> read_;
};
}  // namespace ptq
