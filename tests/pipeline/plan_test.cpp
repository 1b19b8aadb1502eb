#include "ptq/pipeline/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace {

using testing::HasSubstr;

/// A format that holds everything but 7 bits.
class AnyFormat : public ptq::CheckpointFormat {
 public:
  std::optional<std::string> unsupported(const ptq::LinearSite&,
                                         const ptq::QuantScheme& scheme) const override {
    if (scheme.bits == 7) return "no 7 bits";
    return std::nullopt;
  }
  std::optional<std::string> unsupported(const ptq::FormatContext&) const override {
    return std::nullopt;
  }
  std::map<std::string, at::Tensor> pack(const ptq::LinearSite&, const ptq::QuantizedTensor&,
                                         at::ScalarType) const override {
    return {};
  }
  ptq::QuantizedTensor unpack(const ptq::LinearSite&, const ptq::QuantScheme&,
                              const ptq::TensorSource&) const override {
    return {};
  }
  ptq::Json config(const ptq::FormatContext&) const override { return {}; }
  std::vector<ptq::EngineSupport> engines(const ptq::FormatContext&) const override { return {}; }
  bool reads(const ptq::Json&) const override { return false; }
  ptq::QuantPlan plan(const ptq::Json&, const std::vector<ptq::LinearSite>&,
                      const ptq::TensorSource&) const override {
    return {};
  }
};

const std::vector<ptq::LinearSite> kSites = {{"layers.0.q", "x", 0, 0, 64, 128},
                                             {"layers.0.down", "y", 0, 1, 64, 96},
                                             {"layers.1.q", "z", 1, 0, 64, 128}};

ptq::PlanRequest request(int64_t group) {
  ptq::PlanRequest plan;
  plan.scheme = {4, group, true};
  return plan;
}

TEST(ResolvePlan, GivesEveryLinearTheSchemeUnlessARuleSaysOtherwise) {
  ptq::PlanRequest plan = request(32);
  plan.skip = {"layers\\.1"};
  plan.overrides = {"down:bits=8,group_size=-1", "q$:symmetric=false"};
  const ptq::ResolvedPlan resolved = ptq::resolve_plan(plan, kSites, AnyFormat());
  EXPECT_THAT(resolved.skipped, testing::ElementsAre("layers.1.q"));
  EXPECT_EQ(resolved.plan.at("layers.0.down"), (ptq::QuantScheme{8, -1, true}));
  EXPECT_EQ(resolved.plan.at("layers.0.q"), (ptq::QuantScheme{4, 32, false}));
  EXPECT_THAT(resolved.warnings, testing::IsEmpty());
}

TEST(ResolvePlan, ARuleGivesATableOrTakesItAway) {
  ptq::PlanRequest plan = request(32);
  plan.overrides = {"down:lookup=true,bits=3", "q$:lookup=true", "layers\\.1:lookup=false"};
  const ptq::ResolvedPlan resolved = ptq::resolve_plan(plan, kSites, AnyFormat());
  EXPECT_EQ(resolved.plan.at("layers.0.down"), (ptq::QuantScheme{3, -1, true, true}));
  EXPECT_EQ(resolved.plan.at("layers.0.q"), (ptq::QuantScheme{4, -1, true, true}));
  EXPECT_EQ(resolved.plan.at("layers.1.q"), (ptq::QuantScheme{4, -1, true}));
}

TEST(ResolvePlan, RefusesAGroupThatDoesNotDivideAndTellsWhatFits) {
  try {
    ptq::resolve_plan(request(64), kSites, AnyFormat());
    FAIL() << "96 is no multiple of 64";
  } catch (const ptq::UnsupportedError& error) {
    EXPECT_THAT(error.what(), HasSubstr("1 linears cannot be quantized"));
    EXPECT_THAT(error.what(), HasSubstr("layers.0.down"));
    EXPECT_THAT(error.what(), HasSubstr("8 12 16 24 32 48 96 -1"));
  }
}

TEST(ResolvePlan, FollowsTheOddShapePolicyAndSaysSo) {
  ptq::PlanRequest plan = request(64);
  plan.odd_shape = "smaller";
  EXPECT_EQ(ptq::resolve_plan(plan, kSites, AnyFormat()).plan.at("layers.0.down").group_size, 48);
  plan.odd_shape = "channel";
  EXPECT_EQ(ptq::resolve_plan(plan, kSites, AnyFormat()).plan.at("layers.0.down").group_size, -1);
  plan.odd_shape = "skip";
  const ptq::ResolvedPlan skipped = ptq::resolve_plan(plan, kSites, AnyFormat());
  EXPECT_EQ(skipped.plan.count("layers.0.down"), 0U);
  EXPECT_THAT(skipped.warnings, testing::ElementsAre(HasSubstr("layers.0.down")));
  plan.odd_shape = "pad";
  EXPECT_THROW(ptq::resolve_plan(plan, kSites, AnyFormat()), ptq::ConfigError);
}

TEST(ResolvePlan, RefusesWhatTheFormatCannotHold) {
  ptq::PlanRequest plan = request(32);
  plan.overrides = {"q:bits=7"};
  EXPECT_THROW(ptq::resolve_plan(plan, kSites, AnyFormat()), ptq::UnsupportedError);
}

TEST(ResolvePlan, RefusesBrokenRulesEvenIfTheyMatchNothing) {
  for (const char* rule :
       {"nothing", "nothing:", "nothing:bits=x", "nothing:bits=9", "nothing:group_size=0",
        "nothing:size=4", "no(thing:bits=4", "nothing:symmetric=maybe", "nothing:bits=4x",
        "nothing:lookup=1", "nothing:lookup=true,group_size=32"}) {
    ptq::PlanRequest plan = request(32);
    plan.overrides = {rule};
    EXPECT_THROW(ptq::resolve_plan(plan, kSites, AnyFormat()), ptq::ConfigError) << rule;
  }
}

TEST(ResolvePlan, WarnsOfRulesThatMatchNothingAndRefusesToDoNothing) {
  ptq::PlanRequest plan = request(32);
  plan.skip = {"experts"};
  plan.overrides = {"lm_head:bits=8"};
  EXPECT_EQ(ptq::resolve_plan(plan, kSites, AnyFormat()).warnings.size(), 2U);
  plan.skip = {"."};
  EXPECT_THROW(ptq::resolve_plan(plan, kSites, AnyFormat()), ptq::ConfigError);
}

/// A plan made beforehand for all of kSites but the last, which it leaves.
ptq::SchemePlan decided() {
  ptq::SchemePlan plan;
  plan.file = "plan.json";
  plan.schemes = {{"layers.0.q", {3, 64, true}}, {"layers.0.down", {8, 32, true}}};
  plan.left = {"layers.1.q"};
  return plan;
}

TEST(ResolvePlan, TakesWhatWasDecidedAndAppliesItsRulesToThat) {
  ptq::PlanRequest plan = request(48);
  plan.decided = decided();
  plan.overrides = {"q$:bits=4"};
  const ptq::ResolvedPlan resolved = ptq::resolve_plan(plan, kSites, AnyFormat());
  EXPECT_EQ(resolved.plan.at("layers.0.q"), (ptq::QuantScheme{4, 64, true}));
  EXPECT_EQ(resolved.plan.at("layers.0.down"), (ptq::QuantScheme{8, 32, true}));
  EXPECT_THAT(resolved.skipped, testing::ElementsAre("layers.1.q"));
  plan.skip = {"down"};
  EXPECT_EQ(ptq::resolve_plan(plan, kSites, AnyFormat()).plan.size(), 1U);
}

TEST(ResolvePlan, TellsRulesThatMeetOnlyWhatIsLeftAsItIs) {
  const auto warnings = [](ptq::PlanRequest plan, const std::string& rule) {
    plan.overrides = {rule};
    return ptq::resolve_plan(plan, kSites, AnyFormat()).warnings;
  };
  ptq::PlanRequest plan = request(48);
  plan.decided = decided();
  const auto only_left = testing::ElementsAre(testing::HasSubstr("but such as are left"));
  EXPECT_THAT(warnings(plan, "layers.1.q:bits=8"), only_left);
  EXPECT_THAT(warnings(plan, "q$:bits=8"), testing::IsEmpty());
  EXPECT_THAT(warnings(plan, "lm_head:bits=8"),
              testing::ElementsAre(testing::EndsWith("matches no linear")));
  plan = request(32);
  plan.skip = {"down"};
  EXPECT_THAT(warnings(plan, "down:bits=8"), only_left);
}

TEST(CheckRules, RefusesWhatNoModelCouldMakeRight) {
  ptq::PlanRequest plan = request(32);
  EXPECT_NO_THROW(ptq::check_rules(plan));
  plan.overrides = {"q:bits=x"};
  EXPECT_THROW(ptq::check_rules(plan), ptq::ConfigError);
  plan = request(32);
  plan.skip = {"("};
  EXPECT_THROW(ptq::check_rules(plan), ptq::ConfigError);
  plan = request(32);
  plan.odd_shape = "round";
  EXPECT_THROW(ptq::check_rules(plan), ptq::ConfigError);
}

TEST(ResolvePlan, RefusesADecisionForOtherLinears) {
  ptq::PlanRequest plan = request(32);
  plan.decided = decided();
  plan.decided->left.clear();
  EXPECT_THROW(ptq::resolve_plan(plan, kSites, AnyFormat()), ptq::ConfigError);
  plan.decided = decided();
  plan.decided->schemes["layers.2.q"] = {3, 64, true};
  EXPECT_THROW(ptq::resolve_plan(plan, kSites, AnyFormat()), ptq::ConfigError);
}

TEST(ApplySkips, KeepsTheOrderTellsIdleRulesAndRefusesToKeepNothing) {
  const ptq::SkippedSites found = ptq::apply_skips({"down", "experts"}, kSites);
  ASSERT_EQ(found.kept.size(), 2U);
  EXPECT_EQ(found.kept[0].name, "layers.0.q");
  EXPECT_EQ(found.kept[1].name, "layers.1.q");
  EXPECT_THAT(found.skipped, testing::ElementsAre("layers.0.down"));
  EXPECT_THAT(found.warnings, testing::ElementsAre(HasSubstr("experts")));
  EXPECT_THROW(ptq::apply_skips({"."}, kSites), ptq::ConfigError);
  EXPECT_THROW(ptq::apply_skips({"no(thing"}, kSites), ptq::ConfigError);
}

}  // namespace
