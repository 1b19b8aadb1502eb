#include "ptq/core/options.h"

#include <gtest/gtest.h>

#include "ptq/core/registry.h"

namespace {

using ptq::ConfigError;
using ptq::Json;
using ptq::Options;

TEST(Options, GivesTheFallbackWhenAbsentAndTheValueWhenPresent) {
  Options options(Json{{"damping", 0.05}}, "quantizer x");
  EXPECT_EQ(options.get("damping", 0.01, "share of the mean diagonal"), 0.05);
  EXPECT_EQ(options.get("block", 128, "columns"), 128);
  options.expect_all_read();
  ASSERT_EQ(options.read().size(), 2U);
  EXPECT_EQ(options.read()[1].key, "block");
  EXPECT_EQ(options.read()[1].fallback, Json(128));
}

TEST(Options, RefusesATypeThatDoesNotFit) {
  Options options(Json{{"a", "text"}, {"b", 2.5}, {"c", 1}}, "x");
  EXPECT_THROW(options.get("a", 1.0, ""), ConfigError);
  EXPECT_THROW(options.get("b", 1, ""), ConfigError);
  EXPECT_THROW(options.get("c", true, ""), ConfigError);
}

TEST(Options, RefusesValuesOutsideTheRangeOrTheChoices) {
  Options options(Json{{"a", 3}, {"grid", "max"}}, "x");
  EXPECT_THROW(options.get_in("a", 1, 0, 2, ""), ConfigError);
  EXPECT_THROW(options.get_choice("grid", "minmax", {"minmax", "mse"}, ""), ConfigError);
}

TEST(Options, NamesAKeyThatNobodyRead) {
  Options options(Json{{"dampng", 0.05}}, "quantizer gptq");
  options.get("damping", 0.01, "");
  try {
    options.expect_all_read();
    FAIL() << "an unknown key passed";
  } catch (const ConfigError& error) {
    EXPECT_STREQ(error.what(), "quantizer gptq: unknown option \"dampng\"");
    EXPECT_EQ(error.hint(), "known options: damping");
  }
}

struct Plugin {
  int size;
};
std::unique_ptr<Plugin> make_plugin(Options& options) {
  return std::make_unique<Plugin>(Plugin{options.get("size", 7, "how large")});
}

TEST(Registry, MakesPluginsAndListsTheirOptions) {
  const ptq::Registry<Plugin> registry("thing", {{"one", make_plugin}});
  EXPECT_EQ(registry.make("one")->size, 7);
  EXPECT_EQ(registry.make("one", {{"size", 9}})->size, 9);
  EXPECT_THROW(registry.make("two"), ConfigError);
  EXPECT_THROW(registry.make("one", {{"sise", 9}}), ConfigError);
  EXPECT_EQ(registry.options("one").at(0).key, "size");
}

}  // namespace
