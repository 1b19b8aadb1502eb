#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "block_fixture.h"

namespace ptq {
namespace {

using ::testing::HasSubstr;

constexpr QuantScheme kScheme{4, 16, false};

std::string refusal(TestBlock& test, size_t stage) {
  return test.context().refusal(stage).value_or("");
}

TEST(BlockContext, AllowsAScaleWhereAllThatChangesIsQuantized) {
  TestBlock test(testing::tiny_llama(), *quantizers().make("awq"), kScheme);
  for (size_t stage = 0; stage < 4; ++stage)
    EXPECT_EQ(refusal(test, stage), "");
}

TEST(BlockContext, RefusesAScaleThatALinearOutsideThePlanWouldTake) {
  TestBlock test(testing::tiny_llama(), *quantizers().make("awq"), kScheme);
  test.plan().erase("model.layers.0.self_attn.v_proj");
  EXPECT_THAT(refusal(test, 0), HasSubstr("v_proj, which reads the same input"));
  EXPECT_THAT(refusal(test, 1), HasSubstr("v_proj, which makes the input"));
  EXPECT_EQ(refusal(test, 2), "");
}

TEST(BlockContext, PassesOnWhatTheFamilyRefuses) {
  testing::TinyOptOptions options;
  options.norm_before = false;
  TestBlock test(testing::tiny_opt(options), *quantizers().make("awq"), kScheme);
  EXPECT_THAT(refusal(test, 0), HasSubstr("residual"));
  EXPECT_EQ(refusal(test, 3), "");
}

}  // namespace
}  // namespace ptq
