#include <functional>

#include <gmock/gmock.h>

#include "ptq/core/error.h"
#include "small_tokenizer.h"

namespace ptq::tokenizer {
namespace {

using testing::HasSubstr;

struct Fault {
  std::string name;
  std::function<void(Json&)> inflict;
  std::string message;  ///< part of what must be said
};

std::ostream& operator<<(std::ostream& out, const Fault& fault) {
  return out << fault.name;
}

class MalformedJson : public testing::TestWithParam<Fault> {};

TEST_P(MalformedJson, IsAFormatErrorThatNamesFileAndFault) {
  Json json = small_json({"a", "b", "ab"}, {"a b"});
  GetParam().inflict(json);
  const auto directory = directory_with({{"tokenizer.json", json.dump()}});
  try {
    Tokenizer::open(directory);
    FAIL() << json;
  } catch (const FormatError& error) {
    EXPECT_THAT(error.what(), HasSubstr((directory / "tokenizer.json").string()));
    EXPECT_THAT(error.what(), HasSubstr(GetParam().message));
  }
}

const std::vector<Fault> kFaults = {
    {"Array", [](Json& j) { j = Json::array(); }, "must be an object"},
    {"NoModel", [](Json& j) { j.erase("model"); }, "has no \"model\""},
    {"ModelIsText", [](Json& j) { j["model"] = "BPE"; }, "model: must be an object"},
    {"NoVocab", [](Json& j) { j["model"].erase("vocab"); }, "model: has no \"vocab\""},
    {"VocabIsList",
     [](Json& j) {
       j["model"]["vocab"] = {1, 2};
     },
     "model.vocab: must be"},
    {"NoMerges", [](Json& j) { j["model"].erase("merges"); }, "model: has no \"merges\""},
    {"MergesAreText", [](Json& j) { j["model"]["merges"] = "a b"; }, "must be an array"},
    {"IdIsText", [](Json& j) { j["model"]["vocab"]["b"] = "1"; }, "model.vocab[\"b\"]"},
    {"IdIsReal", [](Json& j) { j["model"]["vocab"]["b"] = 1.5; }, "1.5"},
    {"IdIsNegative", [](Json& j) { j["model"]["vocab"]["b"] = -1; }, "-1"},
    {"IdIsHuge", [](Json& j) { j["model"]["vocab"]["b"] = 1ULL << 40; }, "1099511627776"},
    {"IdIsTwice", [](Json& j) { j["model"]["vocab"]["b"] = 0; }, "have the same id 0"},
    {"MergeOfUnknown", [](Json& j) { j["model"]["merges"] = {"a q"}; }, "merges[0]: \"q\""},
    {"MergeIntoUnknown", [](Json& j) { j["model"]["merges"] = {"b a"}; }, "\"ba\""},
    {"MergeOfOne", [](Json& j) { j["model"]["merges"] = {"ab"}; }, "merges[0]"},
    {"MergeOfThree", [](Json& j) { j["model"]["merges"] = {"a b a"}; }, "merges[0]"},
    {"MergeOfNumbers",
     [](Json& j) {
       j["model"]["merges"] = {{1, 2}};
     },
     "merges[0]"},
    {"FlagIsText", [](Json& j) { j["model"]["fuse_unk"] = "yes"; }, "model.fuse_unk"},
    {"UnkIsNumber", [](Json& j) { j["model"]["unk_token"] = 3; }, "model.unk_token"},
    {"AddedIsObject", [](Json& j) { j["added_tokens"] = Json::object(); }, "added_tokens"},
    {"AddedWithoutId",
     [](Json& j) {
       j["added_tokens"] = {{{"content", "x"}}};
     },
     "\"id\""},
    {"AddedIsEmpty", [](Json& j) { j["added_tokens"] = {added(3, "")}; }, "added_tokens[0]"},
    {"AddedSkipsIds", [](Json& j) { j["added_tokens"] = {added(9, "<x>")}; }, "states id 9"},
    {"AddedContradicts", [](Json& j) { j["added_tokens"] = {added(1, "a")}; }, "states id 1"},
    {"AddedTwiceOneId",
     [](Json& j) {
       j["added_tokens"] = {added(3, "x"), added(3, "y")};
     },
     "\"y\" states id 3"},
    {"NormalizerWithoutType", [](Json& j) { j["normalizer"] = Json::object(); }, "normalizer"},
    {"NormalizerIsList", [](Json& j) { j["normalizer"] = Json::array({1}); }, "normalizer"},
    {"StepsAreText",
     [](Json& j) {
       j["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", "x"}};
     },
     "pre_tokenizer.pretokenizers"},
    {"TemplateIsText",
     [](Json& j) {
       j["post_processor"] = {{"type", "TemplateProcessing"}, {"single", "$A"}};
     },
     "post_processor.single"},
};

INSTANTIATE_TEST_SUITE_P(Faults, MalformedJson, testing::ValuesIn(kFaults),
                         [](const auto& fault) { return fault.param.name; });

TEST(MalformedFiles, BrokenBytesAreFormatErrors) {
  for (const std::string bytes : {"", "{", "{\"model\": \"\xFF\"}", "nul", "{} x"}) {
    EXPECT_THROW(Tokenizer::open(directory_with({{"tokenizer.json", bytes}})), FormatError)
        << bytes;
  }
  const auto directory = fresh_directory();
  std::filesystem::create_directory(directory / "tokenizer.json");
  EXPECT_THROW(Tokenizer::open(directory), FormatError);
}

TEST(MalformedFiles, DeepNestingDoesNotCrash) {
  const std::string brackets(200000, '[');
  EXPECT_THROW(Tokenizer::open(directory_with({{"tokenizer.json", brackets}})), FormatError);
  Json nested = {{"type", "NFC"}};
  for (int i = 0; i < 40; ++i) {
    nested = {{"type", "Sequence"}, {"normalizers", Json::array({nested})}};
  }
  Json json = small_json({"a"});
  json["normalizer"] = nested;
  EXPECT_THROW(open_small(json), FormatError);
}

TEST(MalformedFiles, EmptyDirectorySaysWhatIsLookedFor) {
  const auto directory = fresh_directory();
  try {
    Tokenizer::open(directory);
    FAIL();
  } catch (const FormatError& error) {
    EXPECT_THAT(error.what(), HasSubstr("no tokenizer.json"));
  }
}

TEST(UnsupportedFiles, ComponentsAreRefusedByName) {
  const auto refused = [](const std::function<void(Json&)>& change, const std::string& name) {
    Json json = small_json({"a"});
    change(json);
    try {
      open_small(json);
      ADD_FAILURE() << json;
    } catch (const UnsupportedError& error) {
      EXPECT_THAT(error.what(), HasSubstr(name));
    }
  };
  refused([](Json& j) { j["model"]["type"] = "Unigram"; },
          "model.type: tokenizer model \"Unigram\"");
  refused([](Json& j) { j["model"]["dropout"] = 0.1; }, "dropout");
  refused([](Json& j) { j["model"]["end_of_word_suffix"] = "</w>"; }, "</w>");
  refused([](Json& j) { j["model"]["continuing_subword_prefix"] = "##"; }, "##");
  refused([](Json& j) { j["normalizer"] = {{"type", "Nmt"}}; }, "normalizer \"Nmt\"");
  refused([](Json& j) { j["pre_tokenizer"] = {{"type", "Odd"}}; }, "pre-tokenizer \"Odd\"");
  refused([](Json& j) { j["post_processor"] = {{"type", "Odd"}}; }, "post-processor \"Odd\"");
}

TEST(UnsupportedFiles, NeutralOptionsAreAccepted) {
  Json json = small_json({"a"});
  json["model"].update({{"dropout", 0.0}, {"end_of_word_suffix", ""}});
  json["model"]["continuing_subword_prefix"] = nullptr;
  EXPECT_EQ(open_small(json)->encode("a"), Ids{0});
}

TEST(UnsupportedFiles, InvalidUtf8InTheTextBecomesReplacementCharacters) {
  const auto tokenizer = open_small(small_json({"a", "\xEF\xBF\xBD"}));
  EXPECT_EQ(tokenizer->encode("a\xFF\xE2\x82"
                              "a"),
            (Ids{0, 1, 1, 0}));
}

}  // namespace
}  // namespace ptq::tokenizer
