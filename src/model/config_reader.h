#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "ptq/core/options.h"

namespace ptq {

/// More positions than any model has.
constexpr int64_t kMaxWindow = int64_t{1} << 31;

/// Typed, range-checked reads of an object of config.json.  A field that is null counts as absent;
/// one of the wrong type or out of range is a FormatError naming it.
class ConfigReader {
 public:
  /// `where`: before a field's name in messages: "config.json" or "config.json: rope_scaling".
  ConfigReader(const Json& object, std::string where) : object_(object), where_(std::move(where)) {}

  bool has(const std::string& key) const;
  /// The value must lie in low … high; without `fallback` an absent field is a FormatError.
  int64_t integer(const std::string& key, int64_t low, int64_t high,
                  std::optional<int64_t> fallback = std::nullopt) const;
  /// A finite number greater than zero.
  double positive(const std::string& key, std::optional<double> fallback = std::nullopt) const;
  bool flag(const std::string& key, bool fallback) const;
  std::string text(const std::string& key,
                   std::optional<std::string> fallback = std::nullopt) const;
  /// Throws UnsupportedError naming the field unless it is absent or `neutral`.
  void expect(const std::string& key, const Json& neutral) const;
  /// "config.json: sliding_window is 7": for messages of the caller.
  std::string quote(const std::string& key) const;

  const Json& object() const& { return object_; }

 private:
  [[noreturn]] void fail(const std::string& key, const std::string& limit) const;

  const Json& object_;
  std::string where_;
};

}  // namespace ptq
