#include "../../src/pipeline/effect_meter.h"

#include <filesystem>
#include <numeric>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "ptq/core/error.h"
#include "ptq/formats/open.h"
#include "ptq/model/kernels.h"
#include "ptq/sensitivity/rounding.h"

namespace {

using ptq::MeasuredEffect;
using ptq::detail::EffectMeter;
using ptq::detail::WeightChange;

constexpr int64_t kUnlimited = int64_t{1} << 40;

at::Tensor some_tokens() {
  // Any ids do: what is tested holds for all.
  return at::arange(3 * 24, at::kLong).mul(37).remainder(761).view({3, 24});
}

EffectMeter::Plan plan_with(int64_t bytes) {
  EffectMeter::Plan plan;
  plan.tokens = some_tokens();
  plan.directory = std::filesystem::path(testing::TempDir()) / "ptq_effect_meter";
  plan.state_bytes = plan.logit_bytes = plan.block_bytes = bytes;
  return plan;
}

struct Fixture {
  ptq::OpenedModel opened =
      ptq::open_directory(std::filesystem::path(PTQ_SOURCE_DIR) / "tests/data/tale-llama");
  EffectMeter meter{*opened.model, plan_with(kUnlimited)};

  ptq::LinearSite site(const std::string& name) const {
    for (const ptq::LinearSite& one : opened.model->sites())
      if (one.name == name) return one;
    throw std::logic_error(name);
  }
  /// The rounding error of a linear, times `scale`.
  WeightChange rounded(const std::string& name, double scale = 1) {
    const ptq::LinearSite one = site(name);
    const ptq::RoundingDirection rounding({3, 64, true});
    return {name, one.block, rounding.of(one, meter.weight(one)) * scale};
  }
};

constexpr const char* kUp = "model.layers.2.mlp.up_proj";
constexpr const char* kQuery = "model.layers.1.self_attn.q_proj";

/// float32 [windows · (seq − 1), vocab] of a model in which `changes` are made, from its tokens on.
at::Tensor whole_logits(const ptq::CausalLM& model, const std::vector<WeightChange>& changes) {
  const at::NoGradGuard unrecorded;
  at::Tensor hidden = model.embed(some_tokens());
  for (int64_t index = 0; index < model.config().blocks; ++index) {
    const auto block = model.load_block(index);
    for (ptq::Stage& stage : block->stages())
      for (ptq::Linear& linear : stage.linears)
        for (const WeightChange& change : changes)
          if (change.site == linear.site().name) linear.set_weight(linear.weight() + change.delta);
    hidden = block->forward(hidden);
  }
  return model.logits(hidden.narrow(1, 0, 23).reshape({-1, hidden.size(2)})).contiguous();
}

MeasuredEffect whole_effect(const ptq::CausalLM& model, const std::vector<WeightChange>& changes) {
  const at::Tensor reference = whole_logits(model, {}), changed = whole_logits(model, changes);
  const at::Tensor targets = some_tokens().narrow(1, 1, 23).reshape({-1}).contiguous();
  const auto rows = [](const at::Tensor& logits) {
    return ptq::LogitRows{logits.data_ptr<float>(), logits.size(0), logits.size(1)};
  };
  const auto count = static_cast<size_t>(targets.size(0));
  std::vector<double> kl(count), before(count), after(count);
  std::vector<uint8_t> same(count);
  ptq::kl_rows(rows(reference), rows(changed), kl.data(), same.data());
  ptq::nll_rows(rows(reference), targets.data_ptr<int64_t>(), before.data());
  ptq::nll_rows(rows(changed), targets.data_ptr<int64_t>(), after.data());
  const auto mean = [&](const std::vector<double>& values) {
    return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(count);
  };
  return {mean(kl), mean(after) - mean(before)};
}

void expect_same(const MeasuredEffect& a, const MeasuredEffect& b) {
  EXPECT_EQ(a.kl, b.kl);
  EXPECT_EQ(a.nll, b.nll);
}

TEST(EffectMeter, ASuffixGivesWhatTheWholeModelGivesToTheBit) {
  Fixture fixture;
  const std::vector<WeightChange> changes{fixture.rounded(kUp), fixture.rounded(kQuery)};
  const MeasuredEffect effect = fixture.meter.measure(changes);
  EXPECT_GT(effect.kl, 1e-6);
  expect_same(effect, whole_effect(*fixture.opened.model, changes));
  expect_same(fixture.meter.measure({changes[0]}),
              whole_effect(*fixture.opened.model, {changes[0]}));
}

TEST(EffectMeter, TheMeanOverWindowsIsTheMeanOverTokens) {
  Fixture fixture;
  const MeasuredEffect effect = fixture.meter.measure({fixture.rounded(kUp)});
  ASSERT_EQ(static_cast<int64_t>(effect.window_kl.size()), plan_with(0).tokens.size(0));
  double mean = 0;
  for (const double kl : effect.window_kl)
    mean += kl / static_cast<double>(effect.window_kl.size());
  EXPECT_NEAR(mean, effect.kl, 1e-14 * effect.kl);  // the same sum in another order
  EXPECT_NE(effect.window_kl.front(), effect.window_kl.back());
}

TEST(EffectMeter, NoChangeHasNoEffectWhateverWasMeasuredBefore) {
  Fixture fixture;
  fixture.meter.measure({fixture.rounded(kUp), fixture.rounded(kQuery)});
  for (const char* name : {kUp, kQuery})
    expect_same(fixture.meter.measure({fixture.rounded(name, 0)}), {0, 0});
}

TEST(EffectMeter, MemoryLimitsChangeNoBit) {
  Fixture fixture;
  const std::vector<WeightChange> changes{fixture.rounded(kUp), fixture.rounded(kQuery)};
  EffectMeter frugal(*fixture.opened.model, plan_with(0));
  EXPECT_TRUE(frugal.states_on_disk() && frugal.recomputes_logits() && frugal.reloads_blocks());
  EXPECT_FALSE(fixture.meter.states_on_disk() || fixture.meter.recomputes_logits() ||
               fixture.meter.reloads_blocks());
  for (int round = 0; round < 2; ++round)
    expect_same(frugal.measure(changes), fixture.meter.measure(changes));
  EXPECT_EQ(frugal.mean_nll(), fixture.meter.mean_nll());
}

TEST(EffectMeter, SmallEffectsFallWithTheSquareOfTheChange) {
  Fixture fixture;
  const double half = fixture.meter.measure({fixture.rounded(kUp, 1.0 / 16)}).kl;
  const double quarter = fixture.meter.measure({fixture.rounded(kUp, 1.0 / 32)}).kl;
  // What is not quadratic falls with the cube: of the order of 1/16 of what it is of the whole
  // change, and no more than 5 % even if that is as large as the effect itself.
  EXPECT_NEAR(half / quarter, 4, 0.2);
}

TEST(EffectMeter, LaterBlocksCostLess) {
  Fixture fixture;
  EXPECT_GT(fixture.meter.work_from(0), fixture.meter.work_from(3));
}

TEST(EffectMeter, ALossThatIsNotFiniteEndsTheRun) {
  Fixture fixture;
  WeightChange change = fixture.rounded(kUp);
  change.delta.fill_(INFINITY);
  EXPECT_THROW(fixture.meter.measure({change}), ptq::NumericalError);
  EXPECT_THROW(fixture.meter.measure({}), std::logic_error);
  change.site = "model.layers.2.mlp.magic";
  EXPECT_THROW(fixture.meter.measure({change}), std::logic_error);
  expect_same(fixture.meter.measure({fixture.rounded(kUp, 0)}), {0, 0});
}

}  // namespace
