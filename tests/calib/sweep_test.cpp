#include "ptq/calib/sweep.h"

#include <optional>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "support/tiny_model.h"

namespace {

constexpr int64_t kWidth = 6;
constexpr int64_t kInner = 10;

/// Two stages: carried = relu(W0 h), then h += W1 carried, in place as a real block may do.
class TwoStageBlock : public ptq::Block {
 public:
  TwoStageBlock() {
    at::manual_seed(3);
    stages_.push_back(
        {"a", {ptq::Linear({"up", "a", 0, 0, kInner, kWidth}, at::randn({kInner, kWidth}), {})}});
    stages_.push_back(
        {"b", {ptq::Linear({"down", "b", 0, 1, kWidth, kInner}, at::randn({kWidth, kInner}), {})}});
  }
  at::Tensor stage_input(size_t index, const ptq::BlockState& state) const override {
    return index == 0 ? state.hidden : state.carried;
  }
  void accept(size_t index, std::vector<at::Tensor> outputs,
              ptq::BlockState& state) const override {
    if (index == 0) {
      state.carried = outputs[0].relu();
    } else {
      state.hidden.add_(outputs[0]);
      state.carried = at::Tensor();
    }
  }
};

struct Seen {
  at::Tensor output, first_gram, second_gram;
};

/// Runs the block stage by stage, halving the first weight before its stage advances.
Seen run(int64_t batch_tokens, int64_t activation_bytes) {
  TwoStageBlock block;
  at::manual_seed(4);
  Seen seen;
  seen.output = at::randn({5, 3, kWidth});
  ptq::SweepSettings settings;
  settings.batch_tokens = batch_tokens;
  settings.activation_bytes = activation_bytes;
  ptq::StageRunner runner(block, seen.output, settings);
  const ptq::StatisticSet statistics({"gram"});
  const ptq::SiteStats first = runner.collect(statistics);
  block.stages()[0].linears[0].set_weight(block.stages()[0].linears[0].weight() * 0.5);
  runner.advance();
  const ptq::SiteStats second = runner.collect(statistics);
  runner.advance();
  seen.first_gram = first.sum("gram");
  seen.second_gram = second.sum("gram");
  EXPECT_EQ(runner.replays(), activation_bytes == 0);
  return seen;
}

TEST(StageRunner, PropagatesTheWeightsThatAStageHasWhenItAdvances) {
  const Seen seen = run(6, -1);
  at::manual_seed(4);
  const at::Tensor input = at::randn({5, 3, kWidth});
  const TwoStageBlock block;
  const at::Tensor hidden = input.matmul(block.stages()[0].linears[0].weight().t() * 0.5).relu();
  const at::Tensor output = input + hidden.matmul(block.stages()[1].linears[0].weight().t());
  EXPECT_TRUE(at::allclose(seen.output, output, 1e-5, 1e-5));
  const at::Tensor rows = hidden.reshape({-1, kInner});
  EXPECT_TRUE(at::allclose(seen.second_gram, rows.t().mm(rows), 1e-5, 1e-4));
}

TEST(StageRunner, ComparesWithABlockThatKeepsItsWeights) {
  for (const int64_t activation_bytes : {-1, 0}) {
    TwoStageBlock block;
    const TwoStageBlock original;
    at::manual_seed(5);
    at::Tensor states = at::randn({5, 3, kWidth}), reference = states + 0.1;
    const at::Tensor x = states.clone(), other = reference.clone();
    ptq::SweepSettings settings;
    settings.batch_tokens = 6;
    settings.activation_bytes = activation_bytes;
    ptq::StageRunner runner(block, states, settings), beside(original, reference, settings);
    const ptq::StatisticSet statistics({"cross-gram"});
    const auto expect = [&](const at::Tensor& quantized, const at::Tensor& full) {
      const at::Tensor rows = quantized.reshape({-1, quantized.size(-1)});
      const at::Tensor exact = (full.reshape_as(rows) - rows).t().mm(rows);
      EXPECT_TRUE(
          at::allclose(runner.collect(statistics, &beside).sum("cross-gram"), exact, 1e-4, 1e-4));
    };
    expect(x, other);
    const at::Tensor weight = original.stages()[0].linears[0].weight();
    block.stages()[0].linears[0].set_weight(weight * 0.5);
    runner.advance();
    beside.advance();
    expect(x.matmul(weight.t() * 0.5).relu(), other.matmul(weight.t()).relu());
  }
}

TEST(StageRunner, ReplayingGivesTheSameBitsAsKeeping) {
  const Seen kept = run(6, -1);
  const Seen replayed = run(6, 0);
  EXPECT_TRUE(kept.output.equal(replayed.output));
  EXPECT_TRUE(kept.first_gram.equal(replayed.first_gram));
  EXPECT_TRUE(kept.second_gram.equal(replayed.second_gram));
}

TEST(StageRunner, BatchesDoNotChangeTheResultBeyondRounding) {
  const Seen small = run(1, -1);
  const Seen large = run(1000, -1);
  EXPECT_TRUE(at::allclose(small.output, large.output, 1e-6, 1e-6));
  EXPECT_TRUE(at::allclose(small.second_gram, large.second_gram, 1e-5, 1e-5));
}

TEST(StageRunner, PollMayStopTheRun) {
  const TwoStageBlock block;
  at::Tensor states = at::zeros({5, 3, kWidth});
  ptq::SweepSettings settings;
  settings.poll = [] { throw ptq::InterruptedError("stop"); };
  ptq::StageRunner runner(block, states, settings);
  EXPECT_THROW(runner.advance(), ptq::InterruptedError);
}

TEST(AdvanceBlock, EqualsTheStageWiseRun) {
  const TwoStageBlock block;
  at::manual_seed(5);
  at::Tensor whole = at::randn({5, 3, kWidth});
  at::Tensor staged = whole.clone();
  const ptq::SweepSettings settings;
  ptq::advance_block(block, whole, settings);
  ptq::StageRunner runner(block, staged, settings);
  runner.advance();
  runner.advance();
  EXPECT_TRUE(whole.equal(staged));
}

TEST(StageRunner, StaysOnTheDeviceOfItsStates) {
  // LibTorch's "meta" computes shapes only and refuses to mix with other devices.
  const at::NoGradGuard no_grad;
  const at::Device meta(at::kMeta);
  const ptq::testing::TinyModel tiny = ptq::testing::tiny_llama();
  const auto model = ptq::open_model(ptq::WeightSource{tiny.source(), nullptr, meta}, tiny.config);
  const ptq::SweepSettings settings;
  at::Tensor states = ptq::embed_sequences(*model, ptq::testing::random_tokens(3, 8, 96), settings);
  const auto block = model->load_block(0);
  ptq::StageRunner runner(*block, states, settings);
  const ptq::StatisticSet statistics({"gram"});
  for (const ptq::Stage& stage : block->stages()) {
    const int64_t in = stage.linears.front().site().in_features;
    const ptq::SiteStats stats = runner.collect(statistics);
    EXPECT_EQ(stats.sum("gram").device(), meta);
    EXPECT_EQ(stats.sum("gram").sizes(), (std::vector<int64_t>{in, in}));
    runner.advance();
  }
  EXPECT_EQ(states.device(), meta);
}

TEST(CollectStages, EqualsTheStageWiseRunAndLeavesTheStatesAlone) {
  const TwoStageBlock block;
  at::manual_seed(6);
  at::Tensor states = at::randn({5, 3, kWidth});
  const at::Tensor before = states.clone();
  const ptq::StatisticSet statistics({"gram", "mean-magnitude"});
  ptq::SweepSettings settings;
  settings.batch_tokens = 6;
  const auto stats = ptq::collect_stages(block, states, statistics, settings);
  EXPECT_TRUE(states.equal(before));
  ASSERT_EQ(stats.size(), 2U);
  ptq::StageRunner runner(block, states, settings);
  for (const ptq::SiteStats& stage : stats) {
    const ptq::SiteStats expected = runner.collect(statistics);
    for (const std::string& name : statistics.names())
      EXPECT_TRUE(stage.sum(name).equal(expected.sum(name))) << name;
    EXPECT_EQ(stage.counts().tokens, 15);
    runner.advance();
  }
}

TEST(StageRunner, RefusesStatisticsThatNeedGradients) {
  const TwoStageBlock block;
  at::Tensor states = at::zeros({5, 3, kWidth});
  const ptq::SweepSettings settings;
  ptq::StageRunner runner(block, states, settings);
  EXPECT_THROW(runner.collect(ptq::StatisticSet({"token-energy"})), std::logic_error);
}

}  // namespace
