#include "json_view.h"

#include <fstream>
#include <iterator>

#include "ptq/core/error.h"

namespace ptq::tokenizer {

std::string read_bytes(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary | std::ios::ate);
  const std::streamoff size = stream ? static_cast<std::streamoff>(stream.tellg()) : -1;
  // A directory opens, but claims the largest size there is.
  if (size < 0 || !std::filesystem::is_regular_file(file)) {
    throw FormatError(file.string() + ": cannot be read");
  }
  std::string bytes(static_cast<size_t>(size), '\0');
  stream.seekg(0);
  stream.read(bytes.data(), size);
  if (stream.gcount() != size) throw FormatError(file.string() + ": cannot be read to its end");
  return bytes;
}

nlohmann::json read_json(const std::filesystem::path& file) {
  const std::string bytes = read_bytes(file);
  try {
    return nlohmann::json::parse(bytes);
  } catch (const nlohmann::json::exception& error) {
    throw FormatError(file.string() + ": not JSON: " + error.what());
  }
}

std::string JsonView::where() const {
  return file_ + (path_.empty() ? "" : ": " + path_) + ": ";
}

void JsonView::fail(const std::string& what) const {
  throw FormatError(where() + what);
}

void JsonView::unsupported(const std::string& what) const {
  throw UnsupportedError(where() + what + " is not supported");
}

std::optional<JsonView> JsonView::find(const std::string& key) const {
  const auto& members = object();
  const auto found = members.find(key);
  if (found == members.end() || found->second.is_null()) return std::nullopt;
  return JsonView(found->second, file_, path_.empty() ? key : path_ + "." + key);
}

JsonView JsonView::at(const std::string& key) const {
  auto found = find(key);
  if (!found) fail("has no \"" + key + "\"");
  return *std::move(found);
}

JsonView JsonView::at(size_t index) const {
  return JsonView((*value_)[index], file_, path_ + "[" + std::to_string(index) + "]");
}

size_t JsonView::array_size() const {
  if (!value_->is_array()) fail(std::string("must be an array, is ") + value_->type_name());
  return value_->size();
}

const nlohmann::json::object_t& JsonView::object() const {
  if (!value_->is_object()) fail(std::string("must be an object, is ") + value_->type_name());
  return *value_->get_ptr<const nlohmann::json::object_t*>();
}

const std::string& JsonView::text() const {
  if (!value_->is_string()) fail(std::string("must be a string, is ") + value_->type_name());
  return *value_->get_ptr<const std::string*>();
}

bool JsonView::flag() const {
  if (!value_->is_boolean()) fail(std::string("must be true or false, is ") + value_->type_name());
  return value_->get<bool>();
}

bool JsonView::flag(const std::string& key, bool fallback) const {
  const auto member = find(key);
  return member ? member->flag() : fallback;
}

bool is_token_id(const nlohmann::json& value) {
  // Literals above int64 are unsigned, and would turn negative as signed numbers.
  if (value.is_number_unsigned()) return value.get<uint64_t>() <= uint64_t{kMaxTokenId};
  return value.is_number_integer() && value.get<int64_t>() >= 0 &&
         value.get<int64_t>() <= kMaxTokenId;
}

int32_t JsonView::token_id() const {
  if (!is_token_id(*value_)) {
    fail("must be a token id from 0 to " + std::to_string(kMaxTokenId) + ", is " +
         value_->dump().substr(0, 40));
  }
  return value_->get<int32_t>();
}

}  // namespace ptq::tokenizer
