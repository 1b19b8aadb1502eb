#pragma once
#include <array>
#include <string>

namespace ptq::tokenizer {

/// The character (UTF-8) that spells each byte in byte-level vocabularies: printable Latin-1 stands
/// for itself, the other bytes for U+0100 onwards (GPT-2's bytes_to_unicode).
const std::array<std::string, 256>& byte_level_alphabet();

}  // namespace ptq::tokenizer
