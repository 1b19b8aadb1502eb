#include "pre_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ptq/core/error.h"

namespace ptq::tokenizer {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using Texts = std::vector<std::string>;

Texts pieces_of(const json& description, const std::string& text, bool starts_input = true) {
  Pieces pieces{text, {{0, text.size()}}, starts_input};
  make_pre_tokenizer(JsonView(description, "file"))->apply(pieces);
  Texts result;
  for (size_t i = 0; i < pieces.spans.size(); ++i)
    result.emplace_back(pieces[i]);
  return result;
}

json split(const json& pattern, const std::string& behavior, bool invert = false) {
  return {{"type", "Split"}, {"pattern", pattern}, {"behavior", behavior}, {"invert", invert}};
}

TEST(PreTokenizer, SplitBehavesAsNamed) {
  const json dash = {{"String", "-"}};
  const std::string text = "the-final--countdown";
  EXPECT_THAT(pieces_of(split(dash, "Removed"), text), ElementsAre("the", "final", "countdown"));
  EXPECT_THAT(pieces_of(split(dash, "Isolated"), text),
              ElementsAre("the", "-", "final", "-", "-", "countdown"));
  EXPECT_THAT(pieces_of(split(dash, "MergedWithPrevious"), text),
              ElementsAre("the-", "final-", "-", "countdown"));
  EXPECT_THAT(pieces_of(split(dash, "MergedWithNext"), text),
              ElementsAre("the", "-final", "-", "-countdown"));
  EXPECT_THAT(pieces_of(split(dash, "Contiguous"), text),
              ElementsAre("the", "-", "final", "--", "countdown"));
}

TEST(PreTokenizer, SplitInvertedTakesMatchesAsContent) {
  const json word = {{"Regex", R"(\p{L}+)"}};
  EXPECT_THAT(pieces_of(split(word, "Removed", true), "ab 1 cd"), ElementsAre("ab", "cd"));
  EXPECT_THAT(pieces_of(split(word, "Removed"), "ab 1 cd"), ElementsAre(" 1 "));
}

TEST(PreTokenizer, DigitsStandAloneOrTogether) {
  const auto digits = [](bool each) {
    return json{{"type", "Digits"}, {"individual_digits", each}};
  };
  EXPECT_THAT(pieces_of(digits(true), "a12\xC2\xBD"), ElementsAre("a", "1", "2", "\xC2\xBD"));
  EXPECT_THAT(pieces_of(digits(false), "a12b"), ElementsAre("a", "12", "b"));
}

TEST(PreTokenizer, ByteLevelSplitsLikeGpt2AndSpellsBytes) {
  const json description = {{"type", "ByteLevel"}, {"add_prefix_space", false}};
  EXPECT_THAT(pieces_of(description, "it's  12\n"), ElementsAre("it", "'s", "\xC4\xA0",
                                                                "\xC4\xA0"
                                                                "12",
                                                                "\xC4\x8A"));
  EXPECT_THAT(pieces_of(description, "\xC3\xA9"), ElementsAre("\xC3\x83\xC2\xA9"));
}

TEST(PreTokenizer, ByteLevelPutsOneSpaceInFrontOfEachPiece) {
  const json description = {{"type", "ByteLevel"}, {"use_regex", false}};
  EXPECT_THAT(pieces_of(description, "a b"), ElementsAre("\xC4\xA0"
                                                         "a\xC4\xA0"
                                                         "b"));
  EXPECT_THAT(pieces_of(description, " a"), ElementsAre("\xC4\xA0"
                                                        "a"));
}

TEST(PreTokenizer, MetaspaceMarksWordsByItsScheme) {
  const auto metaspace = [](const json& more) {
    json description = {{"type", "Metaspace"}, {"replacement", "\xE2\x96\x81"}};
    description.update(more);
    return description;
  };
  const std::string m = "\xE2\x96\x81";
  EXPECT_THAT(pieces_of(metaspace(json::object()), "a  b"), ElementsAre(m + "a", m, m + "b"));
  EXPECT_THAT(pieces_of(metaspace({{"split", false}}), "a b"), ElementsAre(m + "a" + m + "b"));
  EXPECT_THAT(pieces_of(metaspace({{"prepend_scheme", "never"}}), "a"), ElementsAre("a"));
  EXPECT_THAT(pieces_of(metaspace({{"add_prefix_space", false}}), "a"), ElementsAre("a"));
  EXPECT_THAT(pieces_of(metaspace({{"prepend_scheme", "first"}}), "a"), ElementsAre(m + "a"));
  EXPECT_THAT(pieces_of(metaspace({{"prepend_scheme", "first"}}), "a", false), ElementsAre("a"));
  EXPECT_THAT(pieces_of(metaspace(json::object()), " a"), ElementsAre(m + "a"));  // already marked
  EXPECT_THAT(pieces_of(metaspace(json::object()), m + "a"), ElementsAre(m + "a"));
}

TEST(PreTokenizer, MetaspaceRefusesContradictions) {
  const json both = {{"type", "Metaspace"},
                     {"replacement", "_"},
                     {"prepend_scheme", "always"},
                     {"add_prefix_space", false}};
  EXPECT_THROW(pieces_of(both, ""), FormatError);
  const json unknown = {{"type", "Metaspace"}, {"replacement", "_"}, {"prepend_scheme", "last"}};
  EXPECT_THROW(pieces_of(unknown, ""), FormatError);
  EXPECT_THROW(pieces_of({{"type", "Metaspace"}, {"replacement", "__"}}, ""), FormatError);
}

TEST(PreTokenizer, WhitespaceAndPunctuation) {
  EXPECT_THAT(pieces_of({{"type", "Whitespace"}}, "ab, c_1!?"),
              ElementsAre("ab", ",", "c_1", "!?"));
  EXPECT_THAT(pieces_of({{"type", "WhitespaceSplit"}}, " a,b\tc "), ElementsAre("a,b", "c"));
  EXPECT_THAT(pieces_of({{"type", "Punctuation"}}, "a..b"), ElementsAre("a", ".", ".", "b"));
  EXPECT_THAT(pieces_of({{"type", "Punctuation"}, {"behavior", "Contiguous"}}, "a..b"),
              ElementsAre("a", "..", "b"));
}

TEST(PreTokenizer, SequenceSplitsPiecesFurther) {
  const json sequence = {
      {"type", "Sequence"},
      {"pretokenizers",
       {split({{"String", " "}}, "Removed"), {{"type", "Digits"}, {"individual_digits", true}}}}};
  EXPECT_THAT(pieces_of(sequence, "a1 23"), ElementsAre("a", "1", "2", "3"));
}

TEST(PreTokenizer, OtherTypesAndBehaviorsAreRefusedByName) {
  EXPECT_THROW(pieces_of({{"type", "BertPreTokenizer"}}, ""), UnsupportedError);
  EXPECT_THROW(pieces_of(split({{"String", "-"}}, "Merged"), ""), FormatError);
  EXPECT_THROW(pieces_of(split({{"String", ""}}, "Removed"), ""), FormatError);
  EXPECT_THROW(pieces_of(split({{"Glob", "*"}}, "Removed"), ""), FormatError);
}

TEST(PreTokenizer, DeepNestingIsRefused) {
  json description = {{"type", "Whitespace"}};
  for (int i = 0; i < 100; ++i) {
    description = {{"type", "Sequence"}, {"pretokenizers", json::array({description})}};
  }
  EXPECT_THROW(pieces_of(description, ""), FormatError);
}

}  // namespace
}  // namespace ptq::tokenizer
