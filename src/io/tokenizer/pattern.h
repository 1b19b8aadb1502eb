#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "json_view.h"
#include "text_regex.h"

namespace ptq::tokenizer {

/// What a Split does with the delimiters it finds.
enum class SplitBehavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };

/// A stretch of text that is, or is not, a delimiter.
struct Stretch {
  Span span;
  bool delimiter;
};

/// The "pattern" of Split and Replace: a literal or a regular expression.
class Pattern {
 public:
  /// Reads {"String": literal} or {"Regex": expression}.
  static Pattern parse(const JsonView& json);
  /// A regular expression.
  static Pattern regex(const std::string& expression);

  /// Calls `visit(Span)` for each match in `text`, from left to right.
  template <class Visit>
  void for_each_match(std::string_view text, Visit&& visit) const {
    if (regex_) {
      Matches matches(*regex_, text);
      for (Span match{}; matches.next(match);)
        visit(match);
    } else if (!literal_.empty()) {
      for (size_t at = text.find(literal_); at != std::string_view::npos;
           at = text.find(literal_, at + literal_.size())) {
        visit(Span{at, at + literal_.size()});
      }
    }
  }

  /// `text` as matches (delimiters) and what lies between them.
  std::vector<Stretch> stretches(std::string_view text) const;

 private:
  std::string literal_;
  std::shared_ptr<const Regex> regex_;
};

/// `text` as maximal alternating stretches, delimiters being the characters for which
/// `is_delimiter` holds, one stretch per delimiter character.
std::vector<Stretch> stretches_by(std::string_view text, bool (*is_delimiter)(char32_t));

/// Appends to `pieces` what `behavior` makes of `stretches`, shifted by `offset`.
void split(const std::vector<Stretch>& stretches, SplitBehavior behavior, size_t offset,
           std::vector<Span>& pieces);

/// Reads "Isolated", "Removed", …; FormatError for another name.
SplitBehavior parse_behavior(const JsonView& json);

}  // namespace ptq::tokenizer
