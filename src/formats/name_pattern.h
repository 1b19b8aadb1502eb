#pragma once
#include <regex>
#include <string>

namespace ptq {

/// A regular expression for module names with the meaning of Python's `re.match`: it must match at
/// the start of the name and may end before its end.
class NamePattern {
 public:
  /// Throws UnsupportedError, starting with `where`, for an expression that this reader cannot use.
  NamePattern(const std::string& expression, const std::string& where);
  bool matches(const std::string& name) const;

 private:
  std::regex regex_;
};

/// The expression that matches `name` and nothing else: "^model\.layers\.0$".
std::string exact_expression(const std::string& name);

}  // namespace ptq
