#include "config_reader.h"

#include <cmath>

#include "ptq/core/error.h"

namespace ptq {
namespace {

/// What a message shows of a value.
std::string shown(const Json& value) {
  constexpr size_t kMost = 60;
  std::string text = value.dump(-1, ' ', /*ensure_ascii=*/true, Json::error_handler_t::replace);
  if (text.size() > kMost) text = text.substr(0, kMost) + "…";
  return text;
}

}  // namespace

bool ConfigReader::has(const std::string& key) const {
  const auto found = object_.find(key);
  return found != object_.end() && !found->is_null();
}

std::string ConfigReader::quote(const std::string& key) const {
  if (!has(key)) return where_ + ": " + key + " is missing";
  return where_ + ": " + key + " is " + shown(object_.at(key));
}

void ConfigReader::fail(const std::string& key, const std::string& limit) const {
  throw FormatError(quote(key) + ", must be " + limit);
}

int64_t ConfigReader::integer(const std::string& key, int64_t low, int64_t high,
                              std::optional<int64_t> fallback) const {
  if (!has(key) && fallback) return *fallback;
  const std::string limit =
      "an integer from " + std::to_string(low) + " to " + std::to_string(high);
  if (!has(key) || !object_.at(key).is_number_integer()) fail(key, limit);
  const Json& value = object_.at(key);
  if (value.is_number_unsigned() && value.get<uint64_t>() > static_cast<uint64_t>(high))
    fail(key, limit);
  const auto number = value.get<int64_t>();
  if (number < low || number > high) fail(key, limit);
  return number;
}

double ConfigReader::positive(const std::string& key, std::optional<double> fallback) const {
  if (!has(key) && fallback) return *fallback;
  if (!has(key) || !object_.at(key).is_number()) fail(key, "a number greater than 0");
  const auto value = object_.at(key).get<double>();
  if (!std::isfinite(value) || value <= 0) fail(key, "a number greater than 0");
  return value;
}

bool ConfigReader::flag(const std::string& key, bool fallback) const {
  if (!has(key)) return fallback;
  if (!object_.at(key).is_boolean()) fail(key, "true or false");
  return object_.at(key).get<bool>();
}

std::string ConfigReader::text(const std::string& key, std::optional<std::string> fallback) const {
  if (!has(key) && fallback) return *fallback;
  if (!has(key) || !object_.at(key).is_string()) fail(key, "a string");
  return object_.at(key).get<std::string>();
}

void ConfigReader::expect(const std::string& key, const Json& neutral) const {
  if (has(key) && object_.at(key) != neutral)
    throw UnsupportedError(quote(key) + ", which changes the computation and is not implemented" +
                           (neutral.is_null() ? "" : "; only " + neutral.dump() + " is"));
}

}  // namespace ptq
