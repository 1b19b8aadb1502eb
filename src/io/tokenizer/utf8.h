#pragma once
#include <string>
#include <string_view>

namespace ptq::tokenizer {

/// One character of a valid UTF-8 text: its code point and how many bytes it takes.
struct Char {
  char32_t code;
  size_t bytes;
};

/// The character of valid UTF-8 `text` that begins at byte `at` (< text.size()).
Char decode_char(std::string_view text, size_t at);

/// The byte where the character before byte `at` (> 0) of valid UTF-8 `text` begins.
size_t previous_char(std::string_view text, size_t at);

/// Appends the UTF-8 form of `code` to `text`.
void append_char(char32_t code, std::string& text);

/// The bytes of the longest prefix of `text` that is valid UTF-8 (RFC 3629).
size_t valid_utf8_prefix(std::string_view text);

/// `text` with each maximal invalid sequence replaced by U+FFFD, as Python's errors="replace"
/// (Unicode 15, section 3.9, "U+FFFD substitution of maximal subparts").
std::string replace_invalid_utf8(std::string_view text);

/// Unicode property White_Space, as Rust's char::is_whitespace.
bool is_space(char32_t code);

/// Alphabetic, Mark, Decimal_Number, Connector_Punctuation or Join_Control: \w of Rust's regex.
bool is_word(char32_t code);

/// General category N, as Rust's char::is_numeric.
bool is_numeric(char32_t code);

/// ASCII punctuation or general category P.
bool is_punctuation(char32_t code);

}  // namespace ptq::tokenizer
