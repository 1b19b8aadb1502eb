#include "normalizer.h"

#include <cstdlib>
#include <map>
#include <new>
#include <vector>

#include <utf8proc.h>

#include "pattern.h"
#include "utf8.h"

namespace ptq::tokenizer {
namespace {

/// NFC, NFD, NFKC and NFKD.
class UnicodeForm final : public Normalizer {
 public:
  explicit UnicodeForm(int options) : options_(UTF8PROC_STABLE | options) {}

  std::string apply(std::string text) const override {
    std::string result;
    size_t at = 0;
    while (at < text.size()) {
      // ASCII is in every normal form; only its last character can combine with what follows.
      size_t begin = at;
      while (begin < text.size() && ascii(text[begin]))
        ++begin;
      if (begin == text.size()) break;
      size_t end = begin;
      while (end < text.size() && !ascii(text[end]))
        ++end;
      if (begin > at) --begin;
      result.append(text, at, begin - at);
      append_normal(std::string_view(text).substr(begin, end - begin), result);
      at = end;
    }
    if (at == 0) return text;
    return result.append(text, at, std::string::npos);
  }

 private:
  static bool ascii(char c) { return static_cast<unsigned char>(c) < 0x80; }

  void append_normal(std::string_view text, std::string& result) const {
    struct Free {
      void operator()(utf8proc_uint8_t* bytes) const { std::free(bytes); }
    };
    utf8proc_uint8_t* bytes = nullptr;
    const auto size = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                   static_cast<utf8proc_ssize_t>(text.size()), &bytes,
                                   static_cast<utf8proc_option_t>(options_));
    const std::unique_ptr<utf8proc_uint8_t, Free> owner(bytes);
    // The text is valid UTF-8 and below 2 GiB, so memory is all that can be lacking.
    if (size < 0) throw std::bad_alloc();
    result.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(size));
  }

  int options_;
};

class Prepend final : public Normalizer {
 public:
  explicit Prepend(std::string prefix) : prefix_(std::move(prefix)) {}
  std::string apply(std::string text) const override {
    return text.empty() ? text : prefix_ + text;
  }

 private:
  std::string prefix_;
};

class Replace final : public Normalizer {
 public:
  Replace(Pattern pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}

  std::string apply(std::string text) const override {
    std::string result;
    result.reserve(text.size() + text.size() / 2);
    size_t at = 0;
    pattern_.for_each_match(text, [&](const Span& match) {
      result.append(text, at, match.begin - at).append(content_);
      at = match.end;
    });
    return result.append(text, at, std::string::npos);
  }

 private:
  Pattern pattern_;
  std::string content_;
};

/// Rust's char::to_lowercase for each character.
class Lowercase final : public Normalizer {
 public:
  std::string apply(std::string text) const override {
    std::string result;
    result.reserve(text.size());
    for (size_t at = 0; at < text.size();) {
      const Char c = decode_char(text, at);
      at += c.bytes;
      if (c.code == 0x130) {
        // The one character whose lower case is two: i and a combining dot above.
        result += "i\xCC\x87";
      } else {
        const auto code = static_cast<utf8proc_int32_t>(c.code);
        append_char(static_cast<char32_t>(utf8proc_tolower(code)), result);
      }
    }
    return result;
  }
};

class Strip final : public Normalizer {
 public:
  Strip(bool left, bool right) : left_(left), right_(right) {}

  std::string apply(std::string text) const override {
    size_t begin = 0;
    size_t end = text.size();
    while (left_ && begin < end) {
      const Char c = decode_char(text, begin);
      if (!is_space(c.code)) break;
      begin += c.bytes;
    }
    while (right_ && begin < end) {
      const size_t last = previous_char(text, end);
      if (!is_space(decode_char(text, last).code)) break;
      end = last;
    }
    return text.substr(begin, end - begin);
  }

 private:
  bool left_, right_;
};

class Sequence final : public Normalizer {
 public:
  explicit Sequence(std::vector<std::unique_ptr<Normalizer>> steps) : steps_(std::move(steps)) {}

  std::string apply(std::string text) const override {
    for (const auto& step : steps_)
      text = step->apply(std::move(text));
    return text;
  }

 private:
  std::vector<std::unique_ptr<Normalizer>> steps_;
};

std::unique_ptr<Normalizer> make_sequence(const JsonView& list, int depth) {
  std::vector<std::unique_ptr<Normalizer>> steps;
  for (size_t i = 0; i < list.array_size(); ++i) {
    steps.push_back(make_normalizer(list.at(i), depth + 1));
  }
  return std::make_unique<Sequence>(std::move(steps));
}

}  // namespace

std::unique_ptr<Normalizer> make_normalizer(const JsonView& json, int depth) {
  static const std::map<std::string, int> forms = {{"NFC", UTF8PROC_COMPOSE},
                                                   {"NFD", UTF8PROC_DECOMPOSE},
                                                   {"NFKC", UTF8PROC_COMPOSE | UTF8PROC_COMPAT},
                                                   {"NFKD", UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT}};
  if (depth > kMaxNesting)
    json.fail("is nested more than " + std::to_string(kMaxNesting) + " deep");
  const std::string& type = json.at("type").text();
  if (const auto form = forms.find(type); form != forms.end()) {
    return std::make_unique<UnicodeForm>(form->second);
  }
  if (type == "Sequence") return make_sequence(json.at("normalizers"), depth);
  if (type == "Prepend") return std::make_unique<Prepend>(json.at("prepend").text());
  if (type == "Replace") {
    return std::make_unique<Replace>(Pattern::parse(json.at("pattern")), json.at("content").text());
  }
  if (type == "Lowercase") return std::make_unique<Lowercase>();
  if (type == "Strip") {
    return std::make_unique<Strip>(json.at("strip_left").flag(), json.at("strip_right").flag());
  }
  json.unsupported("normalizer \"" + type + "\"");
}

}  // namespace ptq::tokenizer
