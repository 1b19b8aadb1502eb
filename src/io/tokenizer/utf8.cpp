#include "utf8.h"

#include <utf8proc.h>

#include "unicode_additions.h"

namespace ptq::tokenizer {
namespace {

unsigned byte_at(std::string_view text, size_t at) {
  return static_cast<unsigned char>(text[at]);
}

/// The shape of a multi-byte character by its first byte: its length (0: no such first byte) and
/// the range of the second byte, which rules out overlong forms, surrogates and codes > U+10FFFF.
struct Lead {
  size_t bytes;
  unsigned low, high;
};

Lead lead_of(unsigned first) {
  if (first < 0xC2 || first > 0xF4) return {0, 0, 0};
  if (first < 0xE0) return {2, 0x80, 0xBF};
  if (first < 0xF0) return {3, first == 0xE0 ? 0xA0U : 0x80U, first == 0xED ? 0x9FU : 0xBFU};
  return {4, first == 0xF0 ? 0x90U : 0x80U, first == 0xF4 ? 0x8FU : 0xBFU};
}

/// How many bytes at `at` belong together: a whole character (`valid`) or a maximal invalid part.
struct Sequence {
  size_t bytes;
  bool valid;
};

Sequence sequence_at(std::string_view text, size_t at) {
  const unsigned first = byte_at(text, at);
  if (first < 0x80) return {1, true};
  const Lead lead = lead_of(first);
  for (size_t i = 1; i < lead.bytes; ++i) {
    if (at + i >= text.size()) return {i, false};
    const unsigned next = byte_at(text, at + i);
    if (i == 1 ? next < lead.low || next > lead.high : (next & 0xC0) != 0x80) return {i, false};
  }
  return {lead.bytes == 0 ? 1 : lead.bytes, lead.bytes != 0};
}

/// The general category, like "Lu".
std::string_view category(char32_t code) {
  const std::string_view known = utf8proc_category_string(static_cast<utf8proc_int32_t>(code));
  const std::string_view added = known == "Cn" ? added_category(code) : "";
  return added.empty() ? known : added;
}

}  // namespace

Char decode_char(std::string_view text, size_t at) {
  const unsigned first = byte_at(text, at);
  if (first < 0x80) return {first, 1};
  const auto tail = [&](size_t i) { return byte_at(text, at + i) & 0x3F; };
  if (first < 0xE0) return {(first & 0x1F) << 6 | tail(1), 2};
  if (first < 0xF0) return {(first & 0x0F) << 12 | tail(1) << 6 | tail(2), 3};
  return {(first & 0x07) << 18 | tail(1) << 12 | tail(2) << 6 | tail(3), 4};
}

size_t previous_char(std::string_view text, size_t at) {
  do {
    --at;
  } while (at > 0 && (byte_at(text, at) & 0xC0) == 0x80);
  return at;
}

void append_char(char32_t code, std::string& text) {
  const auto push = [&text](unsigned byte) { text.push_back(static_cast<char>(byte)); };
  if (code < 0x80) {
    push(code);
  } else if (code < 0x800) {
    push(0xC0 | code >> 6);
    push(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    push(0xE0 | code >> 12);
    push(0x80 | (code >> 6 & 0x3F));
    push(0x80 | (code & 0x3F));
  } else {
    push(0xF0 | code >> 18);
    push(0x80 | (code >> 12 & 0x3F));
    push(0x80 | (code >> 6 & 0x3F));
    push(0x80 | (code & 0x3F));
  }
}

size_t valid_utf8_prefix(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    const Sequence sequence = sequence_at(text, at);
    if (!sequence.valid) return at;
    at += sequence.bytes;
  }
  return at;
}

std::string replace_invalid_utf8(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const size_t valid = valid_utf8_prefix(text.substr(at));
    result.append(text.substr(at, valid));
    at += valid;
    if (at == text.size()) break;
    append_char(0xFFFD, result);
    at += sequence_at(text, at).bytes;
  }
  return result;
}

bool is_space(char32_t code) {
  if (code < 0x80) return code == ' ' || (code >= '\t' && code <= '\r');
  return code == 0x85 || code == 0xA0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200A) ||
         code == 0x2028 || code == 0x2029 || code == 0x202F || code == 0x205F || code == 0x3000;
}

bool is_word(char32_t code) {
  if (code == 0x200C || code == 0x200D) return true;
  // Other_Alphabetic beyond the marks: the circled and squared Latin letters.
  if ((code >= 0x24B6 && code <= 0x24E9) || (code >= 0x1F130 && code <= 0x1F149) ||
      (code >= 0x1F150 && code <= 0x1F169) || (code >= 0x1F170 && code <= 0x1F189)) {
    return true;
  }
  const std::string_view kind = category(code);
  return kind[0] == 'L' || kind[0] == 'M' || kind == "Nd" || kind == "Nl" || kind == "Pc";
}

bool is_numeric(char32_t code) {
  return category(code)[0] == 'N';
}

bool is_punctuation(char32_t code) {
  if (code < 0x80) {
    return (code >= '!' && code <= '/') || (code >= ':' && code <= '@') ||
           (code >= '[' && code <= '`') || (code >= '{' && code <= '~');
  }
  return category(code)[0] == 'P';
}

}  // namespace ptq::tokenizer
