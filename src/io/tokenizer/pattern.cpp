#include "pattern.h"

#include <algorithm>
#include <map>

#include "ptq/core/error.h"
#include "utf8.h"

namespace ptq::tokenizer {
namespace {

/// The same stretches, with those that `behavior` joins joined.
std::vector<Stretch> joined(const std::vector<Stretch>& stretches, SplitBehavior behavior) {
  std::vector<Stretch> result;
  bool before = false;
  const auto visit = [&](const Stretch& stretch, size_t Span::*edge) {
    const bool join = behavior == SplitBehavior::kContiguous ? stretch.delimiter == before
                                                             : stretch.delimiter && !before;
    if (join && !result.empty()) {
      result.back().span.*edge = stretch.span.*edge;
    } else {
      result.push_back(stretch);
    }
    before = stretch.delimiter;
  };
  if (behavior == SplitBehavior::kMergedWithNext) {
    for (size_t i = stretches.size(); i-- > 0;)
      visit(stretches[i], &Span::begin);
    std::reverse(result.begin(), result.end());
  } else {
    for (const Stretch& stretch : stretches)
      visit(stretch, &Span::end);
  }
  return result;
}

}  // namespace

Pattern Pattern::parse(const JsonView& json) {
  if (const auto literal = json.find("String")) {
    Pattern pattern;
    pattern.literal_ = literal->text();
    if (pattern.literal_.empty()) literal->fail("must not be empty");
    return pattern;
  }
  if (const auto expression = json.find("Regex")) {
    try {
      return regex(expression->text());
    } catch (const UnsupportedError& error) {
      throw UnsupportedError(expression->file() + ": " + error.what());
    }
  }
  json.fail("must hold \"String\" or \"Regex\"");
}

Pattern Pattern::regex(const std::string& expression) {
  Pattern pattern;
  pattern.regex_ = std::make_shared<const Regex>(expression);
  return pattern;
}

std::vector<Stretch> Pattern::stretches(std::string_view text) const {
  std::vector<Stretch> result;
  size_t end = 0;
  for_each_match(text, [&](const Span& match) {
    if (end < match.begin) result.push_back({{end, match.begin}, false});
    result.push_back({match, true});
    end = match.end;
  });
  if (end < text.size()) result.push_back({{end, text.size()}, false});
  return result;
}

std::vector<Stretch> stretches_by(std::string_view text, bool (*is_delimiter)(char32_t)) {
  std::vector<Stretch> result;
  for (size_t at = 0; at < text.size();) {
    const Char c = decode_char(text, at);
    const bool delimiter = is_delimiter(c.code);
    if (!delimiter && !result.empty() && !result.back().delimiter) {
      result.back().span.end += c.bytes;
    } else {
      result.push_back({{at, at + c.bytes}, delimiter});
    }
    at += c.bytes;
  }
  return result;
}

void split(const std::vector<Stretch>& stretches, SplitBehavior behavior, size_t offset,
           std::vector<Span>& pieces) {
  const auto push = [&](const Span& span) {
    pieces.push_back({span.begin + offset, span.end + offset});
  };
  if (behavior == SplitBehavior::kIsolated || behavior == SplitBehavior::kRemoved) {
    for (const Stretch& stretch : stretches) {
      if (behavior == SplitBehavior::kIsolated || !stretch.delimiter) push(stretch.span);
    }
    return;
  }
  for (const Stretch& stretch : joined(stretches, behavior))
    push(stretch.span);
}

SplitBehavior parse_behavior(const JsonView& json) {
  static const std::map<std::string, SplitBehavior> behaviors = {
      {"Removed", SplitBehavior::kRemoved},
      {"Isolated", SplitBehavior::kIsolated},
      {"MergedWithPrevious", SplitBehavior::kMergedWithPrevious},
      {"MergedWithNext", SplitBehavior::kMergedWithNext},
      {"Contiguous", SplitBehavior::kContiguous}};
  const auto found = behaviors.find(json.text());
  if (found == behaviors.end()) json.fail("\"" + json.text() + "\" is no split behavior");
  return found->second;
}

}  // namespace ptq::tokenizer
