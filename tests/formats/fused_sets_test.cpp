#include "fused_sets.h"

#include <gtest/gtest.h>

#include "samples.h"

namespace ptq {
namespace {

TEST(FusedSets, FindsTheLinearsThatEnginesLoadTogether) {
  const std::vector<FusedSet> sets = fused_sets(llama_sites(2));
  ASSERT_EQ(sets.size(), 4u);
  EXPECT_EQ(sets[0].name, "model.layers.0.self_attn.qkv_proj");
  EXPECT_EQ(sets[0].members.size(), 3u);
  EXPECT_EQ(sets[3].name, "model.layers.1.mlp.gate_up_proj");
  EXPECT_EQ(sets[3].members, (std::vector<std::string>{"model.layers.1.mlp.gate_proj",
                                                       "model.layers.1.mlp.up_proj"}));
}

TEST(FusedSets, NeedsAllMembers) {
  EXPECT_TRUE(fused_sets({make_site("x.q_proj", 8, 8), make_site("x.k_proj", 8, 8)}).empty());
}

TEST(FusedSets, HasACommonSchemeOnlyIfAllMembersHaveIt) {
  FormatContext context = uniform_context(llama_sites(1), {4, 32, true});
  const FusedSet qkv = fused_sets(context.sites).front();
  EXPECT_EQ(common_scheme(qkv, context.plan), (QuantScheme{4, 32, true}));
  context.plan[qkv.members[2]] = {8, 32, true};
  EXPECT_FALSE(common_scheme(qkv, context.plan).has_value());
  context.plan.erase(qkv.members[2]);
  EXPECT_FALSE(common_scheme(qkv, context.plan).has_value());
  EXPECT_FALSE(none_quantized(qkv, context.plan));
  EXPECT_TRUE(none_quantized(qkv, {}));
}

}  // namespace
}  // namespace ptq
