#include "normalizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ptq/core/error.h"

namespace ptq::tokenizer {
namespace {

std::string normalize(const nlohmann::json& json, const std::string& text) {
  return make_normalizer(JsonView(json, "file"))->apply(text);
}

nlohmann::json type(const std::string& name) {
  return {{"type", name}};
}

TEST(Normalizer, UnicodeFormsComposeAcrossAsciiNeighbours) {
  EXPECT_EQ(normalize(type("NFC"), "xe\xCC\x81y"), "x\xC3\xA9y");
  EXPECT_EQ(normalize(type("NFC"), "\xCC\x81"), "\xCC\x81");
  EXPECT_EQ(normalize(type("NFC"), "ascii only"), "ascii only");
  EXPECT_EQ(normalize(type("NFC"),
                      "e\xCC\x81"
                      "e\xCC\x81!"),
            "\xC3\xA9\xC3\xA9!");
  EXPECT_EQ(normalize(type("NFD"), "\xC3\xA9z"), "e\xCC\x81z");
  EXPECT_EQ(normalize(type("NFKC"), "\xEF\xAC\x81x\xEF\xBC\xA1"), "fixA");
  EXPECT_EQ(normalize(type("NFKD"), "\xE2\x85\xA7"), "VIII");
  EXPECT_EQ(normalize(type("NFC"), "\xEF\xAC\x81"), "\xEF\xAC\x81");  // a ligature is kept
}

TEST(Normalizer, PrependLeavesEmptyTextAlone) {
  const nlohmann::json json = {{"type", "Prepend"}, {"prepend", "_"}};
  EXPECT_EQ(normalize(json, "a"), "_a");
  EXPECT_EQ(normalize(json, ""), "");
}

TEST(Normalizer, ReplaceTakesStringsAndExpressions) {
  const auto replace = [](const nlohmann::json& pattern, const std::string& text) {
    return normalize({{"type", "Replace"}, {"pattern", pattern}, {"content", "$0"}}, text);
  };
  EXPECT_EQ(replace({{"String", "aa"}}, "aaaaab"), "$0$0ab");
  EXPECT_EQ(replace({{"Regex", " {2,}"}}, "a  b c   "), "a$0b c$0");
}

TEST(Normalizer, LowercaseMapsEachCharacter) {
  EXPECT_EQ(normalize(type("Lowercase"),
                      "\xC3\x89"
                      "A\xCE\xA3\xC4\xB0"),
            "\xC3\xA9"
            "a\xCF\x83i\xCC\x87");
}

TEST(Normalizer, StripTakesUnicodeSpacesOffEitherEnd) {
  const auto strip = [](bool left, bool right, const std::string& text) {
    return normalize({{"type", "Strip"}, {"strip_left", left}, {"strip_right", right}}, text);
  };
  EXPECT_EQ(strip(true, false, "\xE3\x80\x80 a b \t"), "a b \t");
  EXPECT_EQ(strip(false, true, " a\xC2\xA0"), " a");
  EXPECT_EQ(strip(true, true, " \n "), "");
}

TEST(Normalizer, SequenceRunsItsStepsInOrder) {
  const nlohmann::json json = {
      {"type", "Sequence"},
      {"normalizers", {type("Lowercase"), {{"type", "Prepend"}, {"prepend", "A"}}}}};
  EXPECT_EQ(normalize(json, "XY"), "Axy");
}

TEST(Normalizer, OtherTypesAreRefusedByName) {
  for (const char* name : {"BertNormalizer", "Precompiled", "StripAccents", "Nmt", "ByteLevel"}) {
    try {
      normalize(type(name), "");
      FAIL() << name;
    } catch (const UnsupportedError& error) {
      EXPECT_THAT(error.what(), testing::HasSubstr(name));
    }
  }
}

TEST(Normalizer, MalformedStepsNameTheirPath) {
  const nlohmann::json json = {
      {"type", "Sequence"}, {"normalizers", {type("NFC"), {{"type", "Prepend"}, {"prepend", 3}}}}};
  try {
    normalize(json, "");
    FAIL();
  } catch (const FormatError& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("file: normalizers[1].prepend"));
  }
}

}  // namespace
}  // namespace ptq::tokenizer
