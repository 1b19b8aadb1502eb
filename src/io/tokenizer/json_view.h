#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include <nlohmann/json.hpp>

namespace ptq::tokenizer {

/// The JSON value in `file`; FormatError if the file cannot be read or is not JSON.
nlohmann::json read_json(const std::filesystem::path& file);

/// The bytes of `file`; FormatError if it cannot be read.
std::string read_bytes(const std::filesystem::path& file);

/// Whether `value` is an integer in [0, kMaxTokenId].
bool is_token_id(const nlohmann::json& value);

/// A JSON value (not owned) that knows its file and path, so that every fault can be named.
class JsonView {
 public:
  JsonView(const nlohmann::json& value, std::string file, std::string path = "")
      : value_(&value), file_(std::move(file)), path_(std::move(path)) {}

  /// The member `key`; nothing if it is absent or null; FormatError if this is not an object.
  std::optional<JsonView> find(const std::string& key) const;
  /// The member `key`; FormatError if it is absent or null.
  JsonView at(const std::string& key) const;
  /// The element `index` of an array whose size is known.
  JsonView at(size_t index) const;
  /// The number of elements; FormatError if this is not an array.
  size_t array_size() const;
  /// The members of an object, unordered in the file's sense; FormatError if it is none.
  const nlohmann::json::object_t& object() const;
  /// The string; FormatError otherwise.
  const std::string& text() const;
  /// The boolean; FormatError otherwise.
  bool flag() const;
  /// The token id; FormatError unless it is an integer in [0, kMaxTokenId].
  int32_t token_id() const;
  /// The boolean member `key`, or `fallback` if it is absent or null.
  bool flag(const std::string& key, bool fallback) const;

  const nlohmann::json& value() const { return *value_; }
  const std::string& file() const { return file_; }

  /// Throws FormatError "file: path: what".
  [[noreturn]] void fail(const std::string& what) const;
  /// Throws UnsupportedError "file: path: what is not supported".
  [[noreturn]] void unsupported(const std::string& what) const;

 private:
  std::string where() const;

  const nlohmann::json* value_;
  std::string file_;
  std::string path_;
};

/// Ids above this are refused: real vocabularies are below 300 000, and tables are sized by ids.
inline constexpr int32_t kMaxTokenId = (1 << 24) - 1;

/// How deep Sequence components may be nested in each other.
inline constexpr int kMaxNesting = 32;

}  // namespace ptq::tokenizer
