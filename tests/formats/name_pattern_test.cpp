#include "name_pattern.h"

#include <gtest/gtest.h>

#include "ptq/core/error.h"

namespace ptq {
namespace {

TEST(NamePattern, MatchesAtTheStartAsPythonDoes) {
  EXPECT_TRUE(NamePattern("model", "").matches("model.layers.0"));
  EXPECT_FALSE(NamePattern("layers", "").matches("model.layers.0"));
  EXPECT_TRUE(NamePattern(".*layers", "").matches("model.layers.0"));
  EXPECT_FALSE(NamePattern(".*layers$", "").matches("model.layers.0"));
  EXPECT_TRUE(NamePattern(R"(.*\.(18|19)\..*gate.*)", "").matches("model.layers.19.mlp.gate_proj"));
  EXPECT_FALSE(NamePattern(R"(.*\.(?!19)\d+\.)", "").matches("model.layers.19.mlp"));
}

TEST(NamePattern, ExactExpressionMatchesTheNameAlone) {
  const NamePattern pattern(exact_expression("a.b+c"), "");
  EXPECT_EQ(exact_expression("a.b"), "^a\\.b$");
  EXPECT_TRUE(pattern.matches("a.b+c"));
  EXPECT_FALSE(pattern.matches("a.b+cd"));
  EXPECT_FALSE(pattern.matches("axb+c"));
}

TEST(NamePattern, RefusesAnExpressionItCannotUse) {
  EXPECT_THROW(NamePattern("(", "config"), UnsupportedError);
  EXPECT_THROW(NamePattern("(?i)x", "config"), UnsupportedError);
  EXPECT_THROW(NamePattern(std::string(5000, 'x'), "config"), UnsupportedError);
  EXPECT_THROW(NamePattern(std::string(1000, '(') + std::string(1000, ')'), "config"),
               UnsupportedError);
}

}  // namespace
}  // namespace ptq
