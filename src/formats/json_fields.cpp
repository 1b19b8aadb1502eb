#include "json_fields.h"

#include <utility>

#include "ptq/core/error.h"

namespace ptq {

JsonFields::JsonFields(const Json& object, std::string where)
    : object_(object), where_(std::move(where)) {
  if (!object_.is_object()) throw FormatError(where_ + " is not an object");
}

const Json* JsonFields::find(const std::string& key) const {
  const auto found = object_.find(key);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

void JsonFields::fail(const std::string& key, const std::string& fault) const {
  throw FormatError(where_ + ": \"" + key + "\" " + fault);
}

bool JsonFields::has(const std::string& key) const {
  return find(key) != nullptr;
}

int64_t JsonFields::integer(const std::string& key) const {
  const Json* value = find(key);
  if (value == nullptr) fail(key, "is missing");
  // Far beyond any real value, and safe to compute with.
  constexpr int64_t kLimit = int64_t{1} << 40;
  if (!value->is_number_integer()) fail(key, "is not an integer");
  const bool huge = value->is_number_unsigned() && value->get<uint64_t>() > uint64_t{kLimit};
  if (huge || value->get<int64_t>() > kLimit || value->get<int64_t>() < -kLimit)
    fail(key, "is out of range");
  return value->get<int64_t>();
}

int64_t JsonFields::integer(const std::string& key, int64_t fallback) const {
  return has(key) ? integer(key) : fallback;
}

bool JsonFields::boolean(const std::string& key, bool fallback) const {
  const Json* value = find(key);
  if (value == nullptr) return fallback;
  if (!value->is_boolean()) fail(key, "is not true or false");
  return value->get<bool>();
}

std::string JsonFields::text(const std::string& key, const std::string& fallback) const {
  const Json* value = find(key);
  if (value == nullptr) return fallback;
  if (!value->is_string()) fail(key, "is not a string");
  return value->get<std::string>();
}

std::vector<std::string> JsonFields::texts(const std::string& key) const {
  const Json* value = find(key);
  if (value == nullptr) return {};
  if (!value->is_array()) fail(key, "is not a list");
  std::vector<std::string> texts;
  for (const Json& entry : *value) {
    if (!entry.is_string()) fail(key, "holds something that is not a string");
    texts.push_back(entry.get<std::string>());
  }
  return texts;
}

const Json& JsonFields::object(const std::string& key) const& {
  static const Json kEmpty = Json::object();
  const Json* value = find(key);
  if (value == nullptr) return kEmpty;
  if (!value->is_object()) fail(key, "is not an object");
  return *value;
}

}  // namespace ptq
