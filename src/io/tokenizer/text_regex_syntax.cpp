#include <map>
#include <string>

#include "ptq/core/error.h"
#include "text_regex.h"
#include "unicode_additions.h"

namespace ptq::tokenizer {
namespace {

// The insides of classes.  PCRE2's own \s has U+180E, its \w lacks marks, its \h means blanks.
// Oniguruma looks up \w below U+0100 in a table of its own, which has the superscript digits.
constexpr const char* kSpace = R"(\t-\r\x{85}\p{Z})";
constexpr const char* kWord =
    R"(\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\x{B2}\x{B3}\x{B9}\x{BC}-\x{BE}\x{24B6}-\x{24E9})"
    R"(\x{1F130}-\x{1F149}\x{1F150}-\x{1F169}\x{1F170}-\x{1F189})";
constexpr const char* kHexDigit = "0-9A-Fa-f";

std::string word_set() {
  return kWord + class_additions("L") + class_additions("M") + class_additions("Nd");
}

std::string digit_set() {
  return R"(\p{Nd})" + class_additions("Nd");
}

/// One pass over a pattern, copying what both syntaxes share.
class Translator {
 public:
  explicit Translator(std::string_view pattern) : in_(pattern) {}

  std::string run() {
    while (at_ < in_.size()) {
      const char c = in_[at_];
      if (c == '\\') {
        escape();
      } else if (in_class_) {
        class_character(c);
      } else if (c == '[') {
        open_class();
      } else if (c == '(' && starts("(?")) {
        group();
      } else if (c == '{') {
        interval();
      } else {
        copy(1);
      }
    }
    return std::move(out_);
  }

 private:
  bool starts(std::string_view text) const { return in_.substr(at_, text.size()) == text; }

  void copy(size_t count) {
    out_ += in_.substr(at_, count);
    at_ += count;
  }

  void replace(size_t count, const std::string& by) {
    out_ += by;
    at_ += count;
  }

  [[noreturn]] void refuse(const std::string& what) const {
    throw UnsupportedError("regular expression \"" + std::string(in_) + "\": " + what +
                           " at offset " + std::to_string(at_) + " is not supported");
  }

  void shorthand(const std::string& set, bool negated) {
    if (in_class_ && negated) refuse("a negated shorthand inside a class");
    replace(2, in_class_ ? set : (negated ? "[^" : "[") + set + "]");
  }

  void word_boundary(bool negated) {
    const std::string w = "[" + word_set() + "]";
    if (in_class_) {
      if (negated) refuse("\\B inside a class");
      replace(2, R"(\x08)");
    } else if (negated) {
      replace(2, "(?:(?<=" + w + ")(?=" + w + ")|(?<!" + w + ")(?!" + w + "))");
    } else {
      replace(2, "(?:(?<=" + w + ")(?!" + w + ")|(?<!" + w + ")(?=" + w + "))");
    }
  }

  void escape() {
    if (at_ + 1 >= in_.size()) refuse("a backslash at the end");
    const char c = in_[at_ + 1];
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    switch (c) {
      case 's':
        return shorthand(kSpace, false);
      case 'S':
        // In a class PCRE2's own \S has to do; it differs for U+180E only.
        return in_class_ ? copy(2) : shorthand(kSpace, true);
      case 'w':
        return shorthand(word_set(), false);
      case 'W':
        return shorthand(word_set(), true);
      case 'h':
        return shorthand(kHexDigit, false);
      case 'H':
        return shorthand(kHexDigit, true);
      case 'd':
        return shorthand(digit_set(), false);
      case 'D':
        return in_class_ ? replace(2, R"(\P{Nd})") : shorthand(digit_set(), true);
      case 'b':
        return word_boundary(false);
      case 'B':
        return word_boundary(true);
      case 'p':
      case 'P':
        return property();
      case 'u':
        if (at_ + 6 > in_.size()) refuse("an incomplete \\u");
        return replace(6, "\\x{" + std::string(in_.substr(at_ + 2, 4)) + "}");
      default:
        if (letter && std::string_view("tnrfvaexARzZGKkg").find(c) == std::string_view::npos) {
          refuse(std::string("\\") + c);
        }
        return copy(2);
    }
  }

  /// \p{Letter}: PCRE2 knows the short names of general categories only.
  void property() {
    static const std::map<std::string_view, const char*> short_names = {{"Letter", "L"},
                                                                        {"Mark", "M"},
                                                                        {"Number", "N"},
                                                                        {"Punctuation", "P"},
                                                                        {"Symbol", "S"},
                                                                        {"Separator", "Z"},
                                                                        {"Other", "C"},
                                                                        {"Uppercase_Letter", "Lu"},
                                                                        {"Lowercase_Letter", "Ll"},
                                                                        {"Titlecase_Letter", "Lt"},
                                                                        {"Modifier_Letter", "Lm"},
                                                                        {"Other_Letter", "Lo"},
                                                                        {"Decimal_Number", "Nd"},
                                                                        {"Letter_Number", "Nl"},
                                                                        {"Other_Number", "No"}};
    const size_t end = in_.find('}', at_);
    if (at_ + 2 >= in_.size() || in_[at_ + 2] != '{' || end == std::string_view::npos) {
      refuse("\\p without {name}");
    }
    const std::string_view name = in_.substr(at_ + 3, end - at_ - 3);
    const auto found = short_names.find(name);
    const std::string category(found == short_names.end() ? name : found->second);
    const std::string more = class_additions(category);
    const bool negated = in_[at_ + 1] == 'P';
    std::string text = "\\p{" + category + "}" + more;
    if (more.empty() || (in_class_ && negated)) {
      // What a negated property in a class should not match any more stays in.
      text = std::string(in_.substr(at_, 3)) + category + "}";
    } else if (!in_class_) {
      text = (negated ? "[^" : "[") + text + "]";
    }
    replace(end + 1 - at_, text);
  }

  void open_class() {
    in_class_ = true;
    copy(starts("[^") ? 2 : 1);
    if (starts("]")) refuse("a class that begins with ]");
  }

  void class_character(char c) {
    if (starts("&&")) refuse("a class intersection");
    if (starts("[:")) {
      const size_t end = in_.find(":]", at_);
      if (end == std::string_view::npos) refuse("an unfinished POSIX bracket");
      return copy(end + 2 - at_);
    }
    if (c == '[') refuse("a class inside a class");
    if (c == ']') in_class_ = false;
    copy(1);
  }

  /// "(?m" is Ruby's name for what PCRE2 calls "(?s".
  void group() {
    copy(2);
    while (at_ < in_.size() && std::string_view("imx-").find(in_[at_]) != std::string_view::npos) {
      in_[at_] == 'm' ? replace(1, "s") : copy(1);
    }
  }

  /// {n,m}: Ruby reads {,m} as {0,m}, and {n,m}+ and {n}? differently from PCRE2.
  void interval() {
    const size_t end = in_.find_first_not_of("0123456789,", at_ + 1);
    if (end == std::string_view::npos || in_[end] != '}' || end == at_ + 1) return copy(1);
    const std::string_view inside = in_.substr(at_ + 1, end - at_ - 1);
    const char after = end + 1 < in_.size() ? in_[end + 1] : '\0';
    if (after == '+' || (after == '?' && inside.find(',') == std::string_view::npos)) {
      refuse("a quantifier after an interval");
    }
    replace(end + 1 - at_, (inside[0] == ',' ? "{0" : "{") + std::string(inside) + "}");
  }

  std::string_view in_;
  size_t at_ = 0;
  bool in_class_ = false;
  std::string out_;
};

}  // namespace

std::string pcre_syntax(std::string_view pattern) {
  return Translator(pattern).run();
}

}  // namespace ptq::tokenizer
