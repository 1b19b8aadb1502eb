#include "json_fields.h"

#include <gtest/gtest.h>

#include "ptq/core/error.h"

namespace ptq {
namespace {

TEST(JsonFields, ReadsTypedValuesAndTreatsNullAsAbsent) {
  const Json json = Json::parse(
      R"({"n": 4, "b": false, "t": "x", "l": ["a", "b"], "o": {"k": 1}, "null": null})");
  const JsonFields fields(json, "config");
  EXPECT_EQ(fields.integer("n"), 4);
  EXPECT_EQ(fields.integer("null", 7), 7);
  EXPECT_FALSE(fields.boolean("b", true));
  EXPECT_TRUE(fields.boolean("absent", true));
  EXPECT_EQ(fields.text("t", ""), "x");
  EXPECT_EQ(fields.text("null", "y"), "y");
  EXPECT_EQ(fields.texts("l"), (std::vector<std::string>{"a", "b"}));
  EXPECT_TRUE(fields.texts("absent").empty());
  EXPECT_EQ(fields.object("o"), Json::parse(R"({"k": 1})"));
  EXPECT_TRUE(fields.object("null").empty());
  EXPECT_FALSE(fields.has("null"));
}

TEST(JsonFields, NamesTheFieldOfTheWrongType) {
  const Json json = Json::parse(
      R"({"n": 4.5, "b": 1, "t": 2, "l": ["a", 3], "o": [], "big": 18446744073709551615})");
  const JsonFields fields(json, "config");
  EXPECT_THROW(fields.integer("n"), FormatError);
  EXPECT_THROW(fields.integer("big"), FormatError);
  EXPECT_THROW(fields.integer("absent"), FormatError);
  EXPECT_THROW(fields.boolean("b", true), FormatError);
  EXPECT_THROW(fields.texts("l"), FormatError);
  EXPECT_THROW(fields.texts("t"), FormatError);
  EXPECT_THROW(fields.object("o"), FormatError);
  EXPECT_THROW(JsonFields(Json::array(), "config"), FormatError);
  try {
    fields.text("t", "");
    FAIL();
  } catch (const FormatError& error) {
    EXPECT_STREQ(error.what(), "config: \"t\" is not a string");
  }
}

}  // namespace
}  // namespace ptq
