#include <set>

#include <gmock/gmock.h>

#include "byte_level.h"
#include "ptq/core/error.h"
#include "small_tokenizer.h"

namespace ptq::tokenizer {
namespace {

using testing::ElementsAre;

const std::string kSpace = "\xC4\xA0";  // how byte-level vocabularies spell a space

std::map<std::string, std::string> files() {
  const Json vocab = {{"</s>", 0}, {"<pad>", 1}, {"a", 2},
                      {"b", 3},    {kSpace, 4},  {kSpace + "a", 5}};
  return {{"vocab.json", vocab.dump()}, {"merges.txt", "#version: 0.2\n" + kSpace + " a\r\n\n"}};
}

TEST(Gpt2Files, AreByteLevelBpe) {
  const auto tokenizer = Tokenizer::open(directory_with(files()));
  EXPECT_THAT(tokenizer->encode("a a b"), ElementsAre(2, 5, 4, 3));
  EXPECT_EQ(tokenizer->vocab_size(), 6);
  EXPECT_EQ(tokenizer->bos(), std::nullopt);
}

TEST(Gpt2Files, OptPutsItsBosInFrontAndFindsSpecialTokens) {
  auto opt = files();
  opt["tokenizer_config.json"] =
      R"({"bos_token": {"content": "</s>"}, "pad_token": "<pad>", "add_bos_token": true})";
  const auto tokenizer = Tokenizer::open(directory_with(opt));
  EXPECT_THAT(tokenizer->encode("a<pad>"), ElementsAre(0, 2, 1));
  EXPECT_EQ(tokenizer->bos(), 0);
}

TEST(Gpt2Files, AddPrefixSpaceIsHonoured) {
  auto prefixed = files();
  prefixed["tokenizer_config.json"] = R"({"add_prefix_space": true})";
  EXPECT_THAT(Tokenizer::open(directory_with(prefixed))->encode("a"), ElementsAre(5));
}

TEST(Gpt2Files, OtherTokenizerClassesAreRefused) {
  auto other = files();
  other["tokenizer_config.json"] = R"({"tokenizer_class": "CLIPTokenizer"})";
  EXPECT_THROW(Tokenizer::open(directory_with(other)), UnsupportedError);
}

TEST(Gpt2Files, MalformedLinesAreNamed) {
  for (const std::string& line :
       {std::string("a"), std::string("a b c"), kSpace + " q", std::string("\xFF a")}) {
    auto broken = files();
    broken["merges.txt"] = "#version: 0.2\n" + line + "\n";
    EXPECT_THROW(Tokenizer::open(directory_with(broken)), FormatError) << line;
  }
}

TEST(Gpt2Files, BothAreNeeded) {
  auto half = files();
  half.erase("merges.txt");
  EXPECT_THROW(Tokenizer::open(directory_with(half)), FormatError);
}

TEST(ByteLevelAlphabet, HasACharacterOfItsOwnForEachByte) {
  const auto& alphabet = byte_level_alphabet();
  EXPECT_EQ(alphabet['A'], "A");
  EXPECT_EQ(alphabet[' '], kSpace);
  EXPECT_EQ(alphabet['\n'], "\xC4\x8A");
  EXPECT_EQ(alphabet[0xAD], "\xC5\x83");  // the last one that is not printable: U+0143
  EXPECT_EQ(std::set<std::string>(alphabet.begin(), alphabet.end()).size(), 256U);
}

}  // namespace
}  // namespace ptq::tokenizer
