#include <gmock/gmock.h>

#include "small_tokenizer.h"

namespace ptq::tokenizer {
namespace {

using testing::ElementsAre;

// Ids: a 0, b 1, space 2, X 3, < 4.
Json base() {
  return small_json({"a", "b", " ", "X", "<"});
}

TEST(AddedTokens, AreFoundInTheTextTheLongestFirst) {
  Json json = base();
  json["added_tokens"] = {added(5, "<s>"), added(6, "<s><b>"), added(7, "<b>")};
  const auto tokenizer = open_small(json);
  EXPECT_THAT(tokenizer->encode("a<s>b"), ElementsAre(0, 5, 1));
  EXPECT_THAT(tokenizer->encode("<s><b><b>"), ElementsAre(6, 7));
  EXPECT_THAT(tokenizer->encode("<<s>"), ElementsAre(4, 5));
  EXPECT_EQ(tokenizer->vocab_size(), 8);
}

TEST(AddedTokens, OfTheVocabularyKeepTheirIds) {
  Json json = base();
  json["added_tokens"] = {added(3, "X")};
  EXPECT_THAT(open_small(json)->encode("aXb"), ElementsAre(0, 3, 1));
}

TEST(AddedTokens, StripFlagsSwallowSpaces) {
  Json json = base();
  json["added_tokens"] = {added(5, "<l>", {{"lstrip", true}}), added(6, "<r>", {{"rstrip", true}})};
  const auto tokenizer = open_small(json);
  EXPECT_THAT(tokenizer->encode("a  <l> b"), ElementsAre(0, 5, 2, 1));
  EXPECT_THAT(tokenizer->encode("a <r>\xC2\xA0 b"), ElementsAre(0, 2, 6, 1));
  EXPECT_THAT(tokenizer->encode("<r> <l>"), ElementsAre(6, 5));  // the space is taken once
}

TEST(AddedTokens, SingleWordsAreNotFoundInsideWords) {
  Json json = base();
  json["added_tokens"] = {added(5, "ab", {{"single_word", true}})};
  const auto tokenizer = open_small(json);
  EXPECT_THAT(tokenizer->encode("ab"), ElementsAre(5));
  EXPECT_THAT(tokenizer->encode(" ab "), ElementsAre(2, 5, 2));
  EXPECT_THAT(tokenizer->encode("aab"), ElementsAre(0, 0, 1));
  EXPECT_THAT(tokenizer->encode("abb"), ElementsAre(0, 1, 1));
}

TEST(AddedTokens, NormalizedOnesAreFoundInNormalizedText) {
  Json json = base();
  json["normalizer"] = {{"type", "Lowercase"}};
  json["added_tokens"] = {added(5, "ABA", {{"normalized", true}}),
                          added(6, "BAB", {{"normalized", false}})};
  const auto tokenizer = open_small(json);
  EXPECT_THAT(tokenizer->encode("aBa"), ElementsAre(5));
  EXPECT_THAT(tokenizer->encode("bab"), ElementsAre(1, 0, 1));
  EXPECT_THAT(tokenizer->encode("BAB"), ElementsAre(6));
}

TEST(AddedTokens, AreFoundEvenWithoutSpecialTokensAround) {
  Json json = base();
  json["added_tokens"] = {added(5, "<s>")};
  EXPECT_THAT(open_small(json)->encode("<s>", false), ElementsAre(5));
}

}  // namespace
}  // namespace ptq::tokenizer
