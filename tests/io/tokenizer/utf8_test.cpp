#include "utf8.h"

#include <gtest/gtest.h>

namespace ptq::tokenizer {
namespace {

const std::string kBad = "\xEF\xBF\xBD";  // U+FFFD

TEST(Utf8, EveryCodePointSurvivesAppendAndDecode) {
  for (char32_t code = 0; code < 0x110000; code += code < 0x3000 ? 1 : 97) {
    if (code >= 0xD800 && code < 0xE000) continue;
    std::string text;
    append_char(code, text);
    ASSERT_EQ(decode_char(text, 0).code, code);
    ASSERT_EQ(decode_char(text, 0).bytes, text.size());
    ASSERT_EQ(valid_utf8_prefix(text), text.size()) << code;
    ASSERT_EQ(previous_char("a" + text, text.size() + 1), 1U);
  }
}

TEST(Utf8, InvalidSequencesAreReplacedAsPythonDoes) {
  // The expectations are those of bytes.decode("utf-8", errors="replace").
  EXPECT_EQ(replace_invalid_utf8("plain \xC3\xA9"), "plain \xC3\xA9");
  EXPECT_EQ(replace_invalid_utf8("a\xE2\x82"), "a" + kBad);  // cut short
  EXPECT_EQ(replace_invalid_utf8("a\xE2\x82z"), "a" + kBad + "z");
  EXPECT_EQ(replace_invalid_utf8("\x80\xBF"), kBad + kBad);  // stray tails
  EXPECT_EQ(replace_invalid_utf8("\xC0\xAF"), kBad + kBad);  // overlong
  EXPECT_EQ(replace_invalid_utf8("\xE0\x80\x80"), kBad + kBad + kBad);
  EXPECT_EQ(replace_invalid_utf8("\xF0\x80\x80\x80"), kBad + kBad + kBad + kBad);
  EXPECT_EQ(replace_invalid_utf8("\xED\xA0\x80"), kBad + kBad + kBad);             // surrogate
  EXPECT_EQ(replace_invalid_utf8("\xF4\x90\x80\x80"), kBad + kBad + kBad + kBad);  // > U+10FFFF
  EXPECT_EQ(replace_invalid_utf8("\xF0\x9F\x98"), kBad);
  EXPECT_EQ(replace_invalid_utf8("\xF0\x9F\xFF"), kBad + kBad);
  EXPECT_EQ(replace_invalid_utf8("\xFF"), kBad);
}

TEST(Utf8, ClassesAreRusts) {
  for (const char32_t space : {0x09, 0x0D, 0x20, 0x85, 0xA0, 0x1680, 0x2003, 0x2028, 0x3000}) {
    EXPECT_TRUE(is_space(space)) << space;
  }
  for (const char32_t other : {0x08, 0x1F, 0x180E, 0x200B, 0xFEFF}) {
    EXPECT_FALSE(is_space(other)) << other;
  }
  // Letters, marks, digits, Roman numerals, connectors, circled letters, joiners.
  for (const char32_t word : {0x61, 0xE9, 0x301, 0x663, 0x2160, 0x5F, 0x203F, 0x24B6, 0x200D}) {
    EXPECT_TRUE(is_word(word)) << word;
  }
  for (const char32_t other : {0x2D, 0xB2, 0x20, 0x2581})
    EXPECT_FALSE(is_word(other)) << other;
  EXPECT_TRUE(is_numeric(0xBD) && is_numeric(0x2167) && is_numeric('7') && !is_numeric('a'));
  EXPECT_TRUE(is_numeric(0x10D40) && is_word(0x13460) && is_word(0x897));  // of Unicode 16
  EXPECT_TRUE(is_punctuation('$') && is_punctuation('`') && is_punctuation(0x2014));
  EXPECT_FALSE(is_punctuation(0x20AC) || is_punctuation('a') || is_punctuation(' '));
}

}  // namespace
}  // namespace ptq::tokenizer
