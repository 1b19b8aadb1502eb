#include <cmath>

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "../../src/quantizers/rounding_tuner.h"
#include "block_fixture.h"
#include "ptq/core/error.h"
#include "ptq/quantizers/grid.h"

namespace ptq {
namespace {

using quantizer::BlockLoss;
using quantizer::tune_rounding;
using quantizer::TunedBlock;
using quantizer::TunerSettings;
using ::testing::HasSubstr;

constexpr QuantScheme kScheme{2, 16, true};

/// A block with all its linears rounded to nearest, and what it did before.
class RoundedBlock {
 public:
  explicit RoundedBlock(const testing::TinyModel& model)
      : block_(open_model(model.source(), model.config)->load_block(0)) {
    at::manual_seed(21);
    // Of few directions, as hidden states are: errors in the others cost nothing.
    input_ = at::matmul(at::randn({16, 12, 6}), at::randn({6, 48}));
    target_ = block_->forward(input_);
    for (Stage& stage : block_->stages())
      for (Linear& linear : stage.linears) {
        const at::Tensor weight = linear.weight();
        const QuantizedTensor rounded =
            round_to_nearest(weight, kScheme, fit_grids(weight, kScheme, at::kFloat, {true, {}}))
                .weight;
        weights_[linear.site().name] = weight;
        quantized_[linear.site().name] = rounded;
        linear.set_weight(rounded.dequantize());
      }
  }

  RefineContext context() {
    return {*block_,  input_,     target_,
            weights_, quantized_, [](const std::string&) { return at::kFloat; },
            stored,   [] {}};
  }
  /// Squared error of windows `first` … and channels `channel` …, relative to the target's.
  double error_from(int64_t first, int64_t channel = 0) {
    const auto part = [&](const at::Tensor& whole) {
      return whole.slice(0, first).slice(2, channel);
    };
    const at::Tensor target = part(target_);
    const at::Tensor error = part(block_->forward(input_)) - target;
    return (error.square().sum() / target.square().sum()).item<double>();
  }
  std::function<SiteStats(const LinearSite& site)> stored;
  Block& block() { return *block_; }
  at::Tensor& input() { return input_; }
  const std::map<std::string, QuantizedTensor>& quantized() const& { return quantized_; }

 private:
  std::unique_ptr<Block> block_;
  at::Tensor input_, target_;
  std::map<std::string, at::Tensor> weights_;
  std::map<std::string, QuantizedTensor> quantized_;
};

TunerSettings settings() {
  TunerSettings made;
  made.iterations = 40;
  made.batch = 8;
  made.rate = 1;
  made.scale_rate = 0.3;
  return made;
}

TEST(AutoRound, WindowsThatNoStepSawAreBetterAfterwards) {
  for (const testing::TinyModel& model : {testing::tiny_llama(), testing::tiny_opt()})
    for (const BlockLoss loss : {BlockLoss::kSquared, BlockLoss::kRelative}) {
      RoundedBlock test(model);
      const double before = test.error_from(14);
      TunerSettings how = settings();
      how.loss = loss;
      const TunedBlock tuned = tune_rounding(test.context(), how);
      EXPECT_EQ(tuned.heldout, 2);
      EXPECT_LT(tuned.loss, 0.9 * tuned.loss_before);
      EXPECT_LT(test.error_from(14), 0.95 * before);
      if (loss != BlockLoss::kSquared) continue;
      // The losses are what they say; sums of 2 · 12 · 48 numbers in float32 and in double.
      EXPECT_NEAR(tuned.loss_before, before, 1e-4 * before);
      EXPECT_NEAR(tuned.loss, test.error_from(14), 1e-4 * before);
    }
}

TEST(AutoRound, LeavesTheBlockWithTheWeightsItReturns) {
  RoundedBlock test(testing::tiny_llama());
  const TunedBlock tuned = tune_rounding(test.context(), settings());
  ASSERT_EQ(tuned.weights.size(), 7U);
  for (const auto& [name, weight] : tuned.weights) {
    weight.check();
    EXPECT_TRUE(find_linear(test.block(), name)->weight().equal(weight.dequantize())) << name;
  }
}

// Steps so large that they only harm: what stood at the start is what comes back.
TEST(AutoRound, NeverGivesWhatTheHeldOutWindowsLikeLess) {
  RoundedBlock test(testing::tiny_llama());
  TunerSettings how = settings();
  how.rate = how.scale_rate = 100;
  const TunedBlock tuned = tune_rounding(test.context(), how);
  EXPECT_EQ(tuned.iteration, 0);
  EXPECT_EQ(tuned.loss, tuned.loss_before);
  for (const auto& [name, weight] : tuned.weights)
    EXPECT_TRUE(weight.q.equal(test.quantized().at(name).q)) << name;
}

// The input turns into NaN on the way: no step after that is better, and what it did to the weights
// is not what comes back.
TEST(AutoRound, ALossThatIsNoNumberMidwayCostsOnlyTheStepsAfterIt) {
  RoundedBlock test(testing::tiny_llama()), whole(testing::tiny_llama());
  const TunedBlock expected = tune_rounding(whole.context(), settings());
  ASSERT_GT(expected.iteration, 20);
  RefineContext context = test.context();
  int polls = 0;
  context.poll = [&] {
    if (++polls == 30) test.input().fill_(NAN);  // in 40 steps and 11 looks, each polls once
  };
  const TunedBlock tuned = tune_rounding(context, settings());
  EXPECT_GT(polls, 50);
  EXPECT_GT(tuned.iteration, 0);
  EXPECT_LT(tuned.iteration, 30);
  EXPECT_LT(tuned.loss, tuned.loss_before);
  for (const auto& [name, weight] : tuned.weights) {
    weight.check();
    EXPECT_TRUE(find_linear(test.block(), name)->weight().equal(weight.dequantize())) << name;
  }
}

TEST(AutoRound, TheSeedDecidesTheOrderAndNothingElseDoes) {
  const auto run = [](uint64_t seed) {
    RoundedBlock test(testing::tiny_llama());
    TunerSettings how = settings();
    how.seed = seed;
    return tune_rounding(test.context(), how).loss;
  };
  EXPECT_EQ(run(1), run(1));
  EXPECT_NE(run(1), run(2));
}

// All channels alike is the squared error; a channel that counts for nothing is left out.
TEST(AutoRound, FisherLossWeighsTheChannelsOfTheOutput) {
  const auto run = [](RoundedBlock& test, const at::Tensor& energy) {
    test.stored = [&](const LinearSite&) {
      SiteStats stats;
      stats.set("gradient-energy", std::make_shared<Sums>(Sums{{"sum", energy}}));
      return stats;
    };
    TunerSettings how = settings();
    how.loss = BlockLoss::kFisher;
    return tune_rounding(test.context(), how);
  };
  RoundedBlock plain(testing::tiny_llama()), same(testing::tiny_llama());
  const TunedBlock squared = tune_rounding(plain.context(), settings());
  EXPECT_EQ(run(same, at::full({48}, 3.0, at::kDouble)).loss, squared.loss);
  RoundedBlock half(testing::tiny_llama());
  at::Tensor energy = at::ones({48}, at::kDouble);
  energy.narrow(0, 0, 24).zero_();
  const double before = half.error_from(14, 24);
  const TunedBlock tuned = run(half, energy);
  EXPECT_NEAR(tuned.loss_before, before, 1e-4 * before);
  EXPECT_NEAR(tuned.loss, half.error_from(14, 24), 1e-4 * before);
  EXPECT_NE(tuned.loss, half.error_from(14));
}

TEST(AutoRound, RefusesWhatItCannotLearnFrom) {
  RoundedBlock one(testing::tiny_llama());
  one.input() = one.input().narrow(0, 0, 1);
  EXPECT_THROW(tune_rounding(one.context(), settings()), std::logic_error);
  const auto autoround = quantizers().make("autoround");
  EXPECT_TRUE(autoround->too_few(1).has_value());
  EXPECT_FALSE(autoround->too_few(2).has_value());
  RoundedBlock broken(testing::tiny_llama());
  broken.input().fill_(std::nan(""));
  EXPECT_THROW(tune_rounding(broken.context(), settings()), NumericalError);
  testing::TinyOptOptions options;
  options.norm_before = false;
  RoundedBlock norm_behind(testing::tiny_opt(options));
  TunerSettings how = settings();
  how.loss = BlockLoss::kFisher;
  EXPECT_THROW(tune_rounding(norm_behind.context(), how), UnsupportedError);
  const auto fisher = quantizers().make("autoround", {{"loss", "fisher"}});
  EXPECT_TRUE(fisher->cannot_refine(norm_behind.block()).has_value());
  EXPECT_FALSE(fisher->cannot_refine(one.block()).has_value());
  EXPECT_FALSE(autoround->cannot_refine(norm_behind.block()).has_value());
}

TEST(AutoRound, ReportsWhatWasLearned) {
  RoundedBlock test(testing::tiny_llama());
  const auto autoround = quantizers().make(
      "autoround", {{"start", "rtn"}, {"iterations", 40}, {"rate", 1.0}, {"seed", 5}});
  const auto sites = autoround->refine_block(test.context());
  ASSERT_EQ(sites.size(), 7U);
  for (const auto& [name, site] : sites) {
    const Json& learned = site.details.at("learned");
    EXPECT_LE(learned.at("block_loss").get<double>(),
              learned.at("block_loss_before").get<double>());
    EXPECT_GT(learned.at("codes_changed").get<double>(), 0) << name;
    EXPECT_GT(site.relative_error, 0);
    EXPECT_LT(site.relative_error, 1);
  }
}

}  // namespace
}  // namespace ptq
