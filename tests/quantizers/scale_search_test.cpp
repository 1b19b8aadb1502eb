#include "../src/quantizers/scale_search.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "../src/quantizers/module_probe.h"
#include "block_fixture.h"
#include "ptq/quantizers/grid.h"

namespace ptq::quantizer {
namespace {

constexpr QuantScheme kScheme{4, 16, false};

/// The state in front of stage `index` of the block for all sequences.
BlockState state_at(TestBlock& test, size_t index) {
  BlockState state{test.states(), {}};
  for (size_t stage = 0; stage < index; ++stage)
    test.block().run_stage(stage, state);
  return state;
}

double squares(const at::Tensor& values) {
  return values.to(at::kDouble).square().sum().item<double>();
}

TEST(ModuleProbe, IsTheChangeOfWhatTheModuleAdds) {
  TestBlock test(testing::tiny_llama(), *quantizers().make("awq"), kScheme);
  for (const size_t index : {size_t{0}, size_t{2}}) {
    const BlockState before = state_at(test, index);
    const at::Tensor after = state_at(test, index + 2).hidden;
    ModuleProbe probe(test.block(), index, before);
    EXPECT_FALSE(probe.ends_here());
    EXPECT_NEAR(probe.energy(), squares(after - before.hidden), 1e-5 * probe.energy());
    std::vector<at::Tensor> weights, own;
    for (const Linear& linear : test.block().stages()[index].linears) {
      own.push_back(linear.weight());
      weights.push_back(linear.weight() * 1.01F);
    }
    EXPECT_EQ(probe.error(own), 0);
    const double error = probe.error(weights);
    for (size_t i = 0; i < own.size(); ++i) {
      EXPECT_TRUE(test.linear(index, i).weight().is_same(own[i]));
      test.linear(index, i).set_weight(weights[i]);
    }
    EXPECT_NEAR(error, squares(state_at(test, index + 2).hidden - after), 1e-5 * error);
    EXPECT_GT(error, 0);
    for (size_t i = 0; i < own.size(); ++i)
      test.linear(index, i).set_weight(own[i]);
  }
}

TEST(ModuleProbe, GivesTheBlockItsWeightsBackWhenAnErrorEndsIt) {
  TestBlock test(testing::tiny_llama(), *quantizers().make("awq"), kScheme);
  ModuleProbe probe(test.block(), 0, state_at(test, 0));
  std::vector<at::Tensor> own, weights;
  for (const Linear& linear : test.block().stages()[0].linears) {
    own.push_back(linear.weight());
    weights.push_back(linear.weight() * 2);
  }
  weights.back() = at::ones({3, 3});  // what came before it is set by then
  EXPECT_THROW(probe.error(weights), std::logic_error);
  for (size_t i = 0; i < own.size(); ++i)
    EXPECT_TRUE(test.linear(0, i).weight().is_same(own[i])) << i;
}

TEST(ModuleProbe, KnowsAStageThatEndsItsModule) {
  TestBlock test(testing::tiny_llama(), *quantizers().make("awq"), kScheme);
  for (const size_t index : {size_t{1}, size_t{3}})
    EXPECT_TRUE(ModuleProbe(test.block(), index, state_at(test, index)).ends_here());
}

TEST(ScaleSearch, FindsAScaleWhereChannelsDifferAndIsNeverWorseThanNone) {
  TestBlock test(spread_llama(), *quantizers().make("awq"), kScheme);
  for (size_t index = 0; index < 4; ++index) {
    const ScaleChoice choice = search_scale(test.context(), index, state_at(test, index), {});
    const Json& report = choice.report;
    EXPECT_LE(report.at("error_scaled").get<double>(), report.at("error_unscaled").get<double>());
    EXPECT_EQ(report.at("judged_by"), index % 2 == 0 ? "module" : "linear");
    EXPECT_EQ(choice.scale.size(0), input_factors(test.block(), index));
    if (index != 0 && index != 2) continue;
    EXPECT_NE(report.at("form"), "none");
    EXPECT_LT(report.at("error_scaled").get<double>(),
              0.8 * report.at("error_unscaled").get<double>());
  }
}

TEST(ScaleSearch, ItsErrorIsThatOfRoundingWithItsScale) {
  TestBlock test(spread_llama(), *quantizers().make("awq"), kScheme);
  const ScaleChoice choice = search_scale(test.context(), 3, state_at(test, 3), {});
  const Linear& down = test.linear(3, 0);
  const at::Tensor scaled = down.weight() * choice.scale;
  const Grids grids = fit_grids(scaled, kScheme, at::kFloat, {});
  const QuantizedTensor rounded = round_to_nearest(scaled, kScheme, grids).weight;
  const at::Tensor miss = rounded.dequantize() / choice.scale - down.weight();
  const at::Tensor x = state_at(test, 3).carried.reshape({-1, 80}).to(at::kDouble);
  const double error = squares(at::matmul(x, miss.t().to(at::kDouble))) /
                       squares(at::matmul(x, down.weight().t().to(at::kDouble)));
  // Sums of 80 terms in float32, of errors that partly cancel.
  EXPECT_NEAR(choice.report.at("error_scaled").get<double>(), error, 1e-3 * error);
}

TEST(ScaleSearch, WhatItExpectsOfGptqIsNearWhatGptqLeaves) {
  TestBlock test(spread_llama(), *quantizers().make("awq"), kScheme);
  ScaleSearchSettings settings;
  settings.feedback = true;
  const auto gptq = quantizers().make("gptq", {{"grid", "minmax"}});
  for (const size_t index : {size_t{1}, size_t{3}}) {
    const SiteStats& stats = test.context().stats[index];
    const Json report = search_scale(test.context(), index, state_at(test, index), settings).report;
    EXPECT_EQ(report.at("judged_by"), "pivots");
    const Linear& linear = test.linear(index, 0);
    const double left =
        gptq->quantize({linear.site(), linear.weight(), stats, at::kFloat}, kScheme).relative_error;
    // Evenly spread errors are an assumption, and with so few tokens the damping, which is in the
    // pivots and not in what is left, is much of them.
    EXPECT_GT(report.at("error_unscaled").get<double>(), 0.7 * left) << index;
    EXPECT_LT(report.at("error_unscaled").get<double>(), 1.6 * left) << index;
    EXPECT_LE(report.at("error_scaled").get<double>(), report.at("error_unscaled").get<double>());
  }
}

TEST(ScaleSearch, AStoredStatisticSumsOverTheLinearsOfTheStage) {
  // Energies whose sum is the square of the mean magnitude give the same scales.
  TestBlock test(spread_llama(), *quantizers().make("awq"), kScheme);
  const at::Tensor magnitude = test.context().stats[0].sum("mean-magnitude");
  std::vector<std::string> asked;
  test.stored = [&](const LinearSite& site) {
    asked.push_back(site.name);
    SiteStats stats;
    const double share = asked.size() == 1 ? 0.5 : 0.25;
    stats.set("token-energy", std::make_shared<Sums>(Sums{{"sum", magnitude.square() * share}}));
    stats.set_counts({1, 2, 1});
    return stats;
  };
  ScaleSearchSettings settings;
  const ScaleChoice plain = search_scale(test.context(), 0, state_at(test, 0), settings);
  settings.saliency = ChannelSaliency("token-energy");
  const ScaleChoice stored = search_scale(test.context(), 0, state_at(test, 0), settings);
  EXPECT_EQ(asked.size(), 3U);
  EXPECT_NE(plain.report.at("form"), "none");
  EXPECT_EQ(plain.report.at("ratio"), stored.report.at("ratio"));
  EXPECT_TRUE(at::allclose(plain.scale, stored.scale, 1e-6, 0));  // a root of a square
}

TEST(ScaleSearch, JudgesAsForRoundingToNearestWhereGptqHasNoFactor) {
  TestBlock test(spread_llama(), *quantizers().make("awq"), kScheme);
  test.context().stats[3].sum("gram").zero_();
  ScaleSearchSettings settings;
  settings.feedback = true;
  const ScaleChoice choice = search_scale(test.context(), 3, state_at(test, 3), settings);
  EXPECT_EQ(choice.report.at("judged_by"), "linear");
  EXPECT_EQ(choice.report.at("form"), "none");
}

}  // namespace
}  // namespace ptq::quantizer
