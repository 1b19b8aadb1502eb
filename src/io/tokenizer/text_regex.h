#pragma once
#include <memory>
#include <string>
#include <string_view>

// PCRE2's own types, so that its header, which wants a macro first, stays in one source file.
struct pcre2_real_code_8;
struct pcre2_real_match_data_8;

namespace ptq::tokenizer {

/// A range of bytes [begin, end) in some text.
struct Span {
  size_t begin;
  size_t end;
  bool operator==(const Span& other) const { return begin == other.begin && end == other.end; }
};

/// `pattern`, written for Oniguruma's Ruby syntax (what tokenizer.json holds), in PCRE2's syntax
/// with the same meaning; UnsupportedError for a construct that has none there.
std::string pcre_syntax(std::string_view pattern);

/// A compiled regular expression of tokenizer.json.
class Regex {
 public:
  /// Throws UnsupportedError if the pattern cannot be translated or compiled.
  explicit Regex(const std::string& pattern);

  const std::string& pattern() const& { return pattern_; }

 private:
  friend class Matches;
  struct FreeCode {
    void operator()(pcre2_real_code_8* code) const;
  };

  std::string pattern_;
  std::unique_ptr<pcre2_real_code_8, FreeCode> code_;
  bool jit_ = false;
};

/// Walks over the non-empty, non-overlapping matches of `regex` in `text` (valid UTF-8), leftmost
/// first; both must outlive it.
class Matches {
 public:
  Matches(const Regex& regex, std::string_view text);
  /// Finds the next match; false at the end.  Throws UnsupportedError if PCRE2 gives up on it.
  bool next(Span& match);

 private:
  struct FreeData {
    void operator()(pcre2_real_match_data_8* data) const;
  };
  int find();

  const Regex& regex_;
  std::string_view text_;
  size_t from_ = 0;
  std::unique_ptr<pcre2_real_match_data_8, FreeData> data_;
};

}  // namespace ptq::tokenizer
