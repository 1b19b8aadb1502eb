#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "block_fixture.h"
#include "ptq/core/error.h"
#include "ptq/quantizers/grid.h"
#include "site_fixture.h"

namespace ptq {
namespace {

constexpr QuantScheme kScheme{4, 16, false};

/// Share of the block's change of the states that rounding spoils: each stage rounded in turn with
/// the inputs that the stages before leave it, as a run does.
double spoiled(TestBlock& test, const Quantizer& quantizer) {
  const at::Tensor expected = test.block().forward(test.states());
  if (quantizer.prepares_blocks()) quantizer.prepare_block(test.context());
  at::Tensor states = test.states().clone();
  const SweepSettings settings;
  StageRunner runner(test.block(), states, settings);
  for (Stage& stage : test.block().stages()) {
    const SiteStats stats = runner.collect(StatisticSet(quantizer.statistics()));
    for (Linear& linear : stage.linears)
      linear.set_weight(
          quantizer.quantize({linear.site(), linear.weight(), stats, at::kFloat}, kScheme)
              .weight.dequantize());
    runner.advance();
  }
  return ((states - expected).square().sum() / (expected - test.states()).square().sum())
      .item<double>();
}

double spoiled_by(const std::string& method, const Json& options = Json::object()) {
  const auto quantizer = quantizers().make(method, options);
  TestBlock test(spread_llama(), *quantizer, kScheme);
  return spoiled(test, *quantizer);
}

TEST(Awq, PreparingABlockLeavesItsFunctionAlone) {
  for (const testing::TinyModel& model : {spread_llama(), testing::tiny_opt()}) {
    const auto awq = quantizers().make("awq");
    TestBlock test(model, *awq, kScheme);
    const at::Tensor before = test.block().forward(test.states());
    std::map<std::string, at::Tensor> weights;
    for (const Stage& stage : test.block().stages())
      for (const Linear& linear : stage.linears)
        weights[linear.site().name] = linear.weight();
    const BlockNotes notes = awq->prepare_block(test.context());
    // Float32 rounding of every scaled weight and of the sums after it.
    EXPECT_LT(((test.block().forward(test.states()) - before).abs().max() / before.abs().max())
                  .item<double>(),
              2e-5);
    int scaled = 0;
    for (const auto& [name, weight] : weights) {
      const bool changed = !find_linear(test.block(), name)->weight().equal(weight);
      scaled += changed ? 1 : 0;
      EXPECT_TRUE(notes.at(name).at("scale").contains("form")) << name;
    }
    EXPECT_GT(scaled, 0);
  }
}

TEST(Awq, TellsWhyAStageIsNotScaledAndLeavesItAlone) {
  const auto awq = quantizers().make("awq");
  TestBlock test(spread_llama(), *awq, kScheme);
  const std::string v = "model.layers.0.self_attn.v_proj";
  test.plan().erase(v);
  const at::Tensor before = test.linear(0, 2).weight().clone();
  const at::Tensor gain = block_vectors(test.block()).begin()->second.clone();
  const BlockNotes notes = awq->prepare_block(test.context());
  EXPECT_TRUE(test.linear(0, 2).weight().equal(before));
  EXPECT_TRUE(block_vectors(test.block()).begin()->second.equal(gain));
  EXPECT_THAT(notes.at("model.layers.0.self_attn.o_proj").at("scale").at("not_scaled"),
              ::testing::HasSubstr(v));
}

TEST(Awq, BeatsRoundToNearestOnABlockWhoseChannelsDiffer) {
  const double rtn = spoiled_by("rtn", {{"grid", "mse"}}), awq = spoiled_by("awq");
  EXPECT_LT(awq, 0.8 * rtn);
  EXPECT_LT(spoiled_by("awq", {{"rounding", "gptq"}}), awq);
}

TEST(Awq, TheErrorItReportsIsThatOfTheOutputsWithAndWithoutTheClipSearch) {
  at::manual_seed(14);
  const at::Tensor weight = at::randn({24, 96}), inputs = correlated_inputs(4, 64, 96);
  const auto error = [&](bool clip) {
    const auto awq = quantizers().make("awq", {{"clip", clip}, {"rounding", "rtn"}});
    const TestSite site(weight, inputs, *awq);
    const QuantizedSite made = awq->quantize(site.view(), kScheme);
    EXPECT_NEAR(made.relative_error, output_error(made.weight, weight, inputs),
                1e-4 * made.relative_error);  // sums in float32 by the Gram matrix
    return made.relative_error;
  };
  EXPECT_NE(error(true), error(false));
}

TEST(Awq, TheClipSearchLeavesGroupsWholeThatOnlyMakeScores) {
  at::manual_seed(16);
  const at::Tensor weight = at::randn({24, 96}), inputs = correlated_inputs(4, 64, 96);
  const auto awq = quantizers().make("awq", {{"clip", true}});
  TestSite site(weight, inputs, *awq);
  const Grids whole = fit_grids(weight, kScheme, at::kFloat, {});
  EXPECT_FALSE(awq->quantize(site.view(), kScheme).weight.scale.equal(whole.scale));
  site.site().scores_only = true;
  const QuantizedTensor scores = awq->quantize(site.view(), kScheme).weight;
  EXPECT_TRUE(scores.scale.equal(whole.scale));
  EXPECT_TRUE(scores.zero.equal(whole.zero));
}

TEST(Awq, RoundsAsGptqDoesIfAskedTo) {
  at::manual_seed(15);
  const at::Tensor weight = at::randn({24, 96}), inputs = correlated_inputs(4, 64, 96);
  const auto awq = quantizers().make("awq", {{"rounding", "gptq"}}),
             gptq = quantizers().make("gptq");
  const TestSite site(weight, inputs, *awq);
  EXPECT_TRUE(awq->quantize(site.view(), kScheme)
                  .weight.q.equal(gptq->quantize(site.view(), kScheme).weight.q));
  EXPECT_TRUE(awq->data_warning(10, 96).has_value());
  EXPECT_FALSE(quantizers().make("awq", {{"rounding", "rtn"}})->data_warning(10, 96).has_value());
}

TEST(Awq, AsksForTheStatisticsThatItsSaliencyNeeds) {
  const auto with = [](const std::string& saliency) {
    return quantizers().make("awq", {{"saliency", saliency}});
  };
  EXPECT_THAT(with("mean-square")->block_statistics(),
              ::testing::ElementsAre("gram", "mean-square"));
  EXPECT_THAT(with("auto")->block_statistics(), ::testing::ElementsAre("gram", "mean-magnitude"));
  EXPECT_THAT(with("auto")->stored_statistics(), ::testing::IsEmpty());
  EXPECT_THAT(with("token-energy")->stored_statistics(), ::testing::ElementsAre("token-energy"));
  EXPECT_THAT(with("token-energy")->block_statistics(), ::testing::ElementsAre("gram"));
  EXPECT_THAT(with("obs")->block_statistics(), ::testing::ElementsAre("gram"));
}

TEST(Awq, RefusesOptionsOutsideTheirRange) {
  for (const Json& wrong : {Json{{"rounding", "up"}}, Json{{"tokens", 0}}, Json{{"rows", 0}},
                            Json{{"finalists", 99}}, Json{{"saliency", "gram"}},
                            Json{{"saliency", "fisher"}, {"saliency_options", {{"per", "day"}}}}})
    EXPECT_THROW(quantizers().make("awq", wrong), ConfigError) << wrong.dump();
}

}  // namespace
}  // namespace ptq
