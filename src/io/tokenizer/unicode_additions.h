#pragma once
#include <string>
#include <string_view>

namespace ptq::tokenizer {

// The tokenizers library knows Unicode 16; Debian 12's PCRE2 knows 14, its utf8proc 15.  Text in
// the scripts added since has to be split as there.

/// The code points of general category `category` ("L", "Nd", …) that came after Unicode 14,
/// spelled for the inside of a PCRE2 class; empty for other categories than letters, marks, numbers
/// and punctuation.
std::string class_additions(std::string_view category);

/// The general category of a letter, mark, number or punctuation that came after Unicode 14; empty
/// for another code point.
std::string_view added_category(char32_t code);

}  // namespace ptq::tokenizer
