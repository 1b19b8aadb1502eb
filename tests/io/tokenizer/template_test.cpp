#include "template.h"

#include <gmock/gmock.h>

#include "ptq/core/error.h"
#include "small_tokenizer.h"

namespace ptq::tokenizer {
namespace {

using testing::ElementsAre;

const Json kText = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}};

Json special(const std::string& id) {
  return {{"SpecialToken", {{"id", id}, {"type_id", 0}}}};
}

Json template_of(const Json& single) {
  return {{"type", "TemplateProcessing"},
          {"single", single},
          {"special_tokens",
           {{"<s>", {{"id", "<s>"}, {"ids", {1}}, {"tokens", {"<s>"}}}},
            {"<2>", {{"id", "<2>"}, {"ids", {2, 3}}, {"tokens", {"<2>", "<3>"}}}}}}};
}

Template parsed(const Json& json) {
  return make_template(JsonView(json, "file"));
}

TEST(Template, SpecialTokensGoAroundTheText) {
  Json json = small_json({"a", "<s>", "<2>", "<3>"});
  json["post_processor"] = template_of({special("<s>"), kText, special("<2>")});
  const auto tokenizer = open_small(json);
  EXPECT_THAT(tokenizer->encode("a"), ElementsAre(1, 0, 2, 3));
  EXPECT_THAT(tokenizer->encode(""), ElementsAre(1, 2, 3));
  EXPECT_THAT(tokenizer->encode("a", false), ElementsAre(0));
  EXPECT_EQ(tokenizer->bos(), 1);
}

TEST(Template, ByteLevelAddsNothing) {
  Json json = small_json({"a"});
  json["post_processor"] = {{"type", "ByteLevel"}};
  EXPECT_THAT(open_small(json)->encode("a"), ElementsAre(0));
  EXPECT_EQ(open_small(json)->bos(), std::nullopt);
}

TEST(Template, SequencePutsLaterStepsOutside) {
  const Template both = parsed({{"type", "Sequence"},
                                {"processors",
                                 {template_of({special("<s>"), kText}),
                                  {{"type", "ByteLevel"}},
                                  template_of({special("<2>"), kText, special("<s>")})}}});
  EXPECT_THAT(both.prefix, ElementsAre(2, 3, 1));
  EXPECT_THAT(both.suffix, ElementsAre(1));
}

TEST(Template, RobertaAndBertNameTheirEnds) {
  for (const char* type : {"RobertaProcessing", "BertProcessing"}) {
    const Template ends = parsed({{"type", type}, {"cls", {"<s>", 4}}, {"sep", {"</s>", 5}}});
    EXPECT_THAT(ends.prefix, ElementsAre(4));
    EXPECT_THAT(ends.suffix, ElementsAre(5));
  }
}

TEST(Template, OthersAreRefused) {
  EXPECT_THROW(parsed({{"type", "Fancy"}}), UnsupportedError);
  EXPECT_THROW(parsed(template_of(Json::array({special("<s>")}))), UnsupportedError);
  EXPECT_THROW(parsed(template_of({kText, kText})), UnsupportedError);
  EXPECT_THROW(parsed(template_of({special("<none>"), kText})), FormatError);
  EXPECT_THROW(
      parsed({{"type", "BertProcessing"}, {"cls", Json::array({"<s>"})}, {"sep", {"</s>", 5}}}),
      FormatError);
}

}  // namespace
}  // namespace ptq::tokenizer
