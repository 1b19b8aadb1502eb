#include "text_regex.h"

#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ptq/core/error.h"

namespace ptq::tokenizer {
namespace {

using testing::ElementsAre;

std::vector<std::string> matches(const std::string& pattern, const std::string& text) {
  const Regex regex(pattern);
  std::vector<std::string> result;
  Matches walk(regex, text);
  for (Span match{}; walk.next(match);) {
    result.push_back(text.substr(match.begin, match.end - match.begin));
  }
  return result;
}

TEST(Regex, WalksOverMatchesAndSkipsEmptyOnes) {
  EXPECT_THAT(matches("x*", "axx\xC3\xA9x"), ElementsAre("xx", "x"));
  EXPECT_THAT(matches("b", ""), ElementsAre());
  EXPECT_THAT(matches(R"(\p{N}{1,3})", "1234567"), ElementsAre("123", "456", "7"));
}

TEST(Regex, LookaheadSeesTheRestOfTheText) {
  EXPECT_THAT(matches(R"(\s+(?!\S)|\s+)", "a   b  "), ElementsAre("  ", " ", "  "));
}

TEST(Regex, SpacesAreThoseOfOniguruma) {
  EXPECT_THAT(matches(R"(\s)", "\xC2\x85|\xC2\xA0|\xE3\x80\x80"),
              ElementsAre("\xC2\x85", "\xC2\xA0", "\xE3\x80\x80"));
  EXPECT_THAT(matches(R"(\s)", "\xE1\xA0\x8E"), ElementsAre());  // U+180E, a space to PCRE2
  EXPECT_THAT(matches(R"([^\s]+)", "a\xC2\x85z"), ElementsAre("a", "z"));
  EXPECT_THAT(matches(R"(\S+)", "a\tb"), ElementsAre("a", "b"));
}

TEST(Regex, WordCharactersIncludeMarksButNotSigns) {
  EXPECT_THAT(matches(R"(\w+)", "e\xCC\x81t_9-\xE2\x85\xA7"),
              ElementsAre("e\xCC\x81t_9", "\xE2\x85\xA7"));
  EXPECT_THAT(matches(R"(\bx\b)", "x ax e\xCC\x81x"), ElementsAre("x"));
  EXPECT_THAT(matches(R"(\Bx)", "x ax"), ElementsAre("x"));
}

TEST(Regex, ScriptsNewerThanTheLibraryAreKnown) {
  // U+13460 and U+1C89 are letters of Unicode 16, U+1D2C0 a number of 15, U+897 a mark of 16.
  const std::string letters = "\xF0\x93\x91\xA0\xE1\xB2\x89";
  EXPECT_THAT(matches(R"(\p{L}+)", letters + "!"), ElementsAre(letters));
  EXPECT_THAT(matches(R"([^\s\p{L}]+)", letters + "!"), ElementsAre("!"));
  EXPECT_THAT(matches(R"(\P{L})", letters + "!"), ElementsAre("!"));
  EXPECT_THAT(matches(R"(\p{Lu})", letters), ElementsAre("\xE1\xB2\x89"));
  EXPECT_THAT(matches(R"(\p{Number})", "\xF0\x9D\x8B\x80"), ElementsAre("\xF0\x9D\x8B\x80"));
  EXPECT_THAT(matches(R"(\w+)", "\xE0\xA2\x97" + letters), ElementsAre("\xE0\xA2\x97" + letters));
}

TEST(Regex, RubysSpellingsKeepTheirMeaning) {
  EXPECT_THAT(matches(R"(\h+)", "0aFgz"), ElementsAre("0aF"));
  EXPECT_THAT(matches(R"(x{,2}y)", "xxxy"), ElementsAre("xxy"));
  EXPECT_THAT(matches("(?m:a.b)", "a\nb"), ElementsAre("a\nb"));
  EXPECT_THAT(matches("a.b", "a\nb"), ElementsAre());
  EXPECT_THAT(matches("^b$", "a\nb\nc"), ElementsAre("b"));
  EXPECT_THAT(matches(R"(\p{Letter}+|\P{Letter})", "ab1"), ElementsAre("ab", "1"));
  EXPECT_THAT(matches(R"([[:alpha:]]+)",
                      "a\xC3\xA9"
                      "1"),
              ElementsAre("a\xC3\xA9"));
  EXPECT_THAT(matches(R"(\u00e9)", "\xC3\xA9"), ElementsAre("\xC3\xA9"));
  EXPECT_THAT(matches("(?i:'s)", "x'S'\xC5\xBF"), ElementsAre("'S", "'\xC5\xBF"));
}

TEST(Regex, WhatHasNoCounterpartIsRefusedByName) {
  for (const char* pattern :
       {"[a[b]]", "[a&&b]", "x{1,2}+", "x{2}?", R"(\Qx)", R"(\Y)", "(", R"(\p{Nothing})", R"(\pL)",
        R"([\W])", "a\\", "[[:alpha", R"(\u12)"}) {
    try {
      const Regex regex(pattern);
      FAIL() << pattern << " compiled";
    } catch (const UnsupportedError& error) {
      EXPECT_THAT(error.what(), testing::HasSubstr(pattern));
    }
  }
}

TEST(Regex, DeepBacktrackingFallsBackToTheInterpreter) {
  // More than the 32 KiB stack of compiled code holds.
  const std::string text(50000, 'a');
  EXPECT_THAT(matches("(?:a|b)*", text), ElementsAre(text));
}

TEST(Regex, CatastrophicBacktrackingIsAnErrorNotAHang) {
  EXPECT_THROW(matches("(?:a+)+$", std::string(40, 'a') + "b"), UnsupportedError);
}

}  // namespace
}  // namespace ptq::tokenizer
