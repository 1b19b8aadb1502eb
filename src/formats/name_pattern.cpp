#include "name_pattern.h"

#include <algorithm>
#include <string_view>

#include "ptq/core/error.h"

namespace ptq {
namespace {

// std::regex recurses over the expression; one that is made to exhaust the stack must not.
constexpr size_t kLongest = 4096;
constexpr std::ptrdiff_t kMostGroups = 200;

std::regex compile(const std::string& expression, const std::string& where) {
  if (expression.size() > kLongest ||
      std::count(expression.begin(), expression.end(), '(') > kMostGroups)
    throw UnsupportedError(where + ": an expression of " + std::to_string(expression.size()) +
                           " characters or its groups are too many, the limits are " +
                           std::to_string(kLongest) + " and " + std::to_string(kMostGroups));
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
