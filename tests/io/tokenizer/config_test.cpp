#include <gmock/gmock.h>

#include "ptq/core/error.h"
#include "small_tokenizer.h"

namespace ptq::tokenizer {
namespace {

using testing::ElementsAre;

/// a 0, <s> 1, </s> 2, with a template that puts </s> in front.
Json base() {
  Json json = small_json({"a", "<s>", "</s>"});
  json["post_processor"] = {
      {"type", "TemplateProcessing"},
      {"single", {{{"SpecialToken", {{"id", "</s>"}}}}, {{"Sequence", {{"id", "A"}}}}}},
      {"special_tokens", {{"</s>", {{"ids", {2}}}}}}};
  return json;
}

TEST(TokenizerConfig, StatedEndsReplaceThePostProcessor) {
  const auto ids = [](const Json& config) { return open_small(base(), config)->encode("a"); };
  EXPECT_THAT(ids(nullptr), ElementsAre(2, 0));
  EXPECT_THAT(ids({{"bos_token", "<s>"}}), ElementsAre(2, 0));
  EXPECT_THAT(ids({{"bos_token", "<s>"}, {"add_bos_token", true}}), ElementsAre(1, 0));
  EXPECT_THAT(ids({{"bos_token", "<s>"}, {"add_bos_token", false}}), ElementsAre(0));
  EXPECT_THAT(ids({{"bos_token", "<s>"}, {"add_bos_token", nullptr}}), ElementsAre(0));
  EXPECT_THAT(ids({{"eos_token", {{"content", "</s>"}}}, {"add_eos_token", true}}),
              ElementsAre(0, 2));
  EXPECT_THAT(ids({{"bos_token", nullptr}, {"add_bos_token", true}}), ElementsAre(0));
}

TEST(TokenizerConfig, ClassesNameTheirTokensByDefault) {
  const Json llama = {{"tokenizer_class", "LlamaTokenizerFast"}, {"add_bos_token", true}};
  EXPECT_THAT(open_small(base(), llama)->encode("a"), ElementsAre(1, 0));
  const Json other = {{"tokenizer_class", "PreTrainedTokenizerFast"}, {"add_bos_token", true}};
  EXPECT_THAT(open_small(base(), other)->encode("a"), ElementsAre(0));
}

TEST(TokenizerConfig, NamesComeFromTheSpecialTokensMapToo) {
  const auto directory = directory_with({{"tokenizer.json", base().dump()},
                                         {"tokenizer_config.json", R"({"add_bos_token": true})"},
                                         {"special_tokens_map.json", R"({"bos_token": "<s>"})"}});
  EXPECT_THAT(Tokenizer::open(directory)->encode("a"), ElementsAre(1, 0));
}

TEST(TokenizerConfig, NamedTokensOfTheVocabularyAreFoundInText) {
  Json json = small_json({"a", "<", "s", ">", "<s>"});
  EXPECT_THAT(open_small(json)->encode("<s>"), ElementsAre(1, 2, 3));
  EXPECT_THAT(open_small(json, {{"bos_token", "<s>"}})->encode("<s>"), ElementsAre(4));
  // One that is not in the vocabulary stays text.
  EXPECT_EQ(open_small(json, {{"pad_token", "<a>"}})->encode("<a>"), (Ids{1, 0, 3}));
}

TEST(TokenizerConfig, AddedTokensDecoderAddsWhatIsMissing) {
  const Json decoder = {{"10", {{"content", "<y>"}}}, {"9", {{"content", "<x>"}}}};
  Json json = small_json({"0", "1", "2", "3", "4", "5", "6", "7", "8"});
  const auto tokenizer = open_small(json, {{"added_tokens_decoder", decoder}});
  EXPECT_THAT(tokenizer->encode("8<x><y>"), ElementsAre(8, 9, 10));
  EXPECT_EQ(tokenizer->vocab_size(), 11);
}

TEST(TokenizerConfig, MalformedEntriesAreFormatErrors) {
  const std::vector<Json> configs = {
      Json::array(),
      {{"add_bos_token", "yes"}},
      {{"bos_token", 3}},
      {{"bos_token", {{"text", "<s>"}}}},
      {{"added_tokens_decoder", {{"x", {{"content", "<x>"}}}}}},
      {{"added_tokens_decoder", {{"99999999999999", {{"content", "<x>"}}}}}},
      {{"added_tokens_decoder", {{"3", {{"content", ""}}}}}},
      {{"added_tokens_decoder", {{"7", {{"content", "<x>"}}}}}},  // the next free id is 3
      {{"bos_token", "<none>"}, {"add_bos_token", true}}};
  for (const Json& config : configs)
    EXPECT_THROW(open_small(base(), config), FormatError) << config;
}

}  // namespace
}  // namespace ptq::tokenizer
