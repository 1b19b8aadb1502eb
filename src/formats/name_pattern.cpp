#include "name_pattern.h"

#include "ptq/core/error.h"

namespace ptq {
namespace {

std::regex compile(const std::string& expression, const std::string& where) {
  try {
    return std::regex(expression, std::regex::ECMAScript | std::regex::optimize);
  } catch (const std::regex_error& error) {
    throw UnsupportedError(where + ": cannot use the expression \"" + expression + "\"",
                           std::string("the regular expression library says: ") + error.what());
  }
}

}  // namespace

NamePattern::NamePattern(const std::string& expression, const std::string& where)
    : regex_(compile(expression, where)) {}

bool NamePattern::matches(const std::string& name) const {
  return std::regex_search(name, regex_, std::regex_constants::match_continuous);
}

std::string exact_expression(const std::string& name) {
  std::string expression = "^";
  for (const char c : name) {
    if (std::string_view("\\.^$|()[]{}*+?").find(c) != std::string_view::npos) expression += '\\';
    expression += c;
  }
  return expression + "$";
}

}  // namespace ptq
