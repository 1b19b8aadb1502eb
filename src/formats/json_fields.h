#pragma once
#include <string>
#include <vector>

#include "ptq/core/options.h"

namespace ptq {

/// Reads fields of a JSON object that came from a file.  Null counts as absent; a field of the
/// wrong type is a FormatError that names it.  Keeps a reference to the object.
class JsonFields {
 public:
  /// Throws FormatError unless `object` is one; `where` starts every message.
  JsonFields(const Json& object, std::string where);

  bool has(const std::string& key) const;
  /// Throws FormatError if absent.
  int64_t integer(const std::string& key) const;
  int64_t integer(const std::string& key, int64_t fallback) const;
  bool boolean(const std::string& key, bool fallback) const;
  std::string text(const std::string& key, const std::string& fallback) const;
  /// A list of strings; empty if absent.
  std::vector<std::string> texts(const std::string& key) const;
  /// An object; an empty one if absent.
  const Json& object(const std::string& key) const&;
  const std::string& where() const& { return where_; }

 private:
  const Json* find(const std::string& key) const;
  [[noreturn]] void fail(const std::string& key, const std::string& fault) const;

  const Json& object_;
  std::string where_;
};

}  // namespace ptq
