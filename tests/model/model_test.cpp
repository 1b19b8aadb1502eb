// Laws of whole models and of the chain of stages, on random ones.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/plain_formula.h"
#include "ptq/core/error.h"
#include "ptq/model/causal_lm.h"
#include "support/tiny_model.h"

namespace ptq {
namespace {

using testing::plain_logits;
using testing::random_tokens;
using testing::tiny_llama;
using testing::tiny_opt;
using testing::TinyLlamaOptions;
using testing::TinyModel;
using testing::TinyOptOptions;

// Float32 rounding of sums of at most 100 terms, some 20 of them one after the other: a few
// 1e-6 of the largest logit; 2e-4 is what the project promises, these models must do far better.
constexpr double kTolerance = 2e-5;

at::Tensor run(const TinyModel& model, const at::Tensor& tokens) {
  const at::NoGradGuard no_grad;
  return run_model(*open_model(model.source(), model.config), tokens);
}

/// Largest difference as a share of the largest value of `expected`.
double distance(const at::Tensor& actual, const at::Tensor& expected) {
  return ((actual - expected).abs().max() / expected.abs().max()).item<double>();
}

std::unique_ptr<Block> first_block(const TinyModel& model) {
  return open_model(model.source(), model.config)->load_block(0);
}

TEST(Model, LlamaEqualsPlainFormula) {
  TinyLlamaOptions options;
  options.bias = true;
  const TinyModel model = tiny_llama(options);
  const at::Tensor tokens = random_tokens(2, 37, options.vocab);
  EXPECT_LT(distance(run(model, tokens), plain_logits(model, tokens)), kTolerance);
}

TEST(Model, OneKeyHeadForAllQueriesEqualsPlainFormula) {
  TinyLlamaOptions options;
  options.kv_heads = 1;
  const TinyModel model = tiny_llama(options);
  const at::Tensor tokens = random_tokens(1, 40, options.vocab);
  EXPECT_LT(distance(run(model, tokens), plain_logits(model, tokens)), kTolerance);
}

TEST(Model, SlidingWindowEqualsPlainFormulaAndMatters) {
  TinyLlamaOptions options;
  options.model_type = "mistral";
  TinyModel model = tiny_llama(options);
  const at::Tensor tokens = random_tokens(1, 40, options.vocab);
  const at::Tensor full = run(model, tokens);
  model.config["sliding_window"] = 9;
  const at::Tensor windowed = run(model, tokens);
  EXPECT_LT(distance(windowed, plain_logits(model, tokens)), kTolerance);
  EXPECT_TRUE(at::equal(full.narrow(1, 0, 9), windowed.narrow(1, 0, 9)));
  EXPECT_GT(distance(full, windowed), 0.01);
  model.config["sliding_window"] = nullptr;
  EXPECT_TRUE(at::equal(run(model, tokens), full));
}

TEST(Model, OptEqualsPlainFormulaWithNormsBeforeAfterAndProjections) {
  for (const bool before : {true, false}) {
    for (const int64_t embedding : {48, 32}) {
      TinyOptOptions options;
      options.norm_before = before;
      options.embedding = embedding;
      const TinyModel model = tiny_opt(options);
      const at::Tensor tokens = random_tokens(2, 20, options.vocab);
      EXPECT_LT(distance(run(model, tokens), plain_logits(model, tokens)), kTolerance)
          << "before " << before << ", embedding " << embedding;
    }
  }
}

TEST(Model, LaterTokensLeaveEarlierLogitsAlone) {
  for (const TinyModel& model : {tiny_llama(), tiny_opt()}) {
    const at::Tensor tokens = random_tokens(1, 30, 96);
    at::Tensor changed = tokens.clone();
    changed[0][20] = (tokens[0][20] + 1) % 96;
    const at::Tensor before = run(model, tokens), after = run(model, changed);
    EXPECT_TRUE(at::equal(before.narrow(1, 0, 20), after.narrow(1, 0, 20)));
    EXPECT_FALSE(at::equal(before[0][20], after[0][20]));
  }
}

TEST(Model, BatchEqualsSequencesOneByOneToTheBit) {
  for (const TinyModel& model : {tiny_llama(), tiny_opt()}) {
    const at::Tensor tokens = random_tokens(3, 25, 96);
    const at::Tensor batch = run(model, tokens);
    for (int64_t i = 0; i < 3; ++i)
      EXPECT_TRUE(at::equal(batch.narrow(0, i, 1), run(model, tokens.narrow(0, i, 1))));
  }
}

TEST(Model, TiedHeadEqualsUntiedCopyUnderEitherName) {
  TinyLlamaOptions options;
  options.tied = true;
  TinyModel tied = tiny_llama(options);
  const at::Tensor tokens = random_tokens(1, 12, options.vocab);
  const at::Tensor expected = run(tied, tokens);

  TinyModel copy = tied;
  copy.config["tie_word_embeddings"] = false;
  copy.tensors["lm_head.weight"] = copy.tensors["model.embed_tokens.weight"].clone();
  EXPECT_TRUE(at::equal(run(copy, tokens), expected));

  TinyModel renamed = tied;
  renamed.tensors["lm_head.weight"] = renamed.tensors["model.embed_tokens.weight"];
  renamed.tensors.erase("model.embed_tokens.weight");
  EXPECT_TRUE(at::equal(run(renamed, tokens), expected));
}

TEST(Model, Bfloat16WeightsGiveTheResultOfTheirFloat32Values) {
  TinyLlamaOptions options;
  options.dtype = at::kBFloat16;
  const TinyModel stored = tiny_llama(options);
  TinyModel widened = stored;
  for (auto& entry : widened.tensors)
    entry.second = entry.second.to(at::kFloat);
  const at::Tensor tokens = random_tokens(1, 12, options.vocab);
  EXPECT_TRUE(at::equal(run(stored, tokens), run(widened, tokens)));
}

TEST(Model, BothPathsAgreeWithAndWithoutAutograd) {
  TinyModel windowed = tiny_llama();
  windowed.config["model_type"] = "mistral";
  windowed.config["sliding_window"] = 7;
  for (const TinyModel& model : {tiny_llama(), windowed, tiny_opt()}) {
    const std::unique_ptr<Block> block = first_block(model);
    const at::Tensor x = at::randn({2, 21, 48});
    const at::Tensor recorded = block->forward(x.clone().requires_grad_(true)).detach();
    const at::NoGradGuard no_grad;
    const at::Tensor original = x.clone();
    EXPECT_LT(distance(block->forward(x), recorded), kTolerance);
    EXPECT_TRUE(at::equal(x, original)) << "the caller's input was written over";
  }
}

/// d(Σ block(x) ∘ direction)/dx and /dW against central differences in float64.  The sums have 432
/// terms of size 1, so slopes are some 20.  W stays float32, whose rounding, 6e-8, is 0.1 % of its
/// step of 1e-4; so long a step meets kinks of OPT's ReLU, hence W is checked with Llama only.
TEST(Model, GradientsMatchFiniteDifferences) {
  for (const TinyModel& model : {tiny_llama(), tiny_opt()}) {
    const std::unique_ptr<Block> block = first_block(model);
    const at::Tensor x = at::randn({1, 9, 48}).requires_grad_(true);
    const at::Tensor direction = at::randn({1, 9, 48}), move = at::randn({1, 9, 48});
    Linear& layer = block->stages()[0].linears[1];
    const at::Tensor weight = layer.weight(), turn = at::randn(weight.sizes()) * 0.1;
    layer.set_weight(weight.clone().requires_grad_(true));
    (block->forward(x) * direction).sum().backward();
    const double by_x = (x.grad() * move).sum().item<double>();
    const double by_weight = (layer.weight().grad() * turn).sum().item<double>();

    const at::NoGradGuard no_grad;
    const double step = 1e-6, weight_step = 1e-3;  // the latter of `turn`, 0.1 in size
    const auto value = [&](const at::Tensor& at_x, const at::Tensor& at_weight) {
      layer.set_weight(at_weight);
      return (block->forward(at_x.to(at::kDouble)) * direction).sum().item<double>();
    };
    const at::Tensor x64 = x.detach().to(at::kDouble);
    const double slope_x =
        (value(x64 + step * move, weight) - value(x64 - step * move, weight)) / (2 * step);
    const double slope_weight =
        (value(x64, weight + weight_step * turn) - value(x64, weight - weight_step * turn)) /
        (2 * weight_step);
    EXPECT_NEAR(by_x, slope_x, 0.01);
    if (model.config.at("model_type") == "llama") {
      EXPECT_NEAR(by_weight, slope_weight, 0.1);
    }
  }
}

TEST(Model, StagesListEveryLinearOnceInSiteOrder) {
  for (const TinyModel& model : {tiny_llama(), tiny_opt()}) {
    const auto opened = open_model(model.source(), model.config);
    const std::vector<LinearSite> sites = opened->sites();
    size_t next = 0;
    for (int64_t i = 0; i < opened->config().blocks; ++i) {
      const std::unique_ptr<Block> block = opened->load_block(i);
      for (size_t s = 0; s < block->stages().size(); ++s) {
        for (const Linear& layer : block->stages()[s].linears) {
          ASSERT_LT(next, sites.size());
          EXPECT_EQ(layer.site().name, sites[next].name);
          EXPECT_EQ(layer.site().input, block->stages()[s].input);
          EXPECT_EQ(sites[next].stage, static_cast<int>(s));
          EXPECT_EQ(sites[next].block, static_cast<int>(i));
          EXPECT_THAT(sites[next].name, ::testing::StartsWith(opened->block_prefix(i)));
          ++next;
        }
      }
    }
    EXPECT_EQ(next, sites.size());
  }
}

TEST(Model, WhatOnlyMakesScoresChangesNothingWhereThereIsOneScore) {
  TinyOptOptions norms_behind;
  norms_behind.norm_before = false;
  for (const TinyModel& model : {tiny_llama(), tiny_opt(), tiny_opt(norms_behind)}) {
    const at::NoGradGuard no_grad;
    const auto block = first_block(model);
    int scores = 0;
    for (Stage& stage : block->stages())
      for (Linear& linear : stage.linears) {
        const at::Tensor x = at::randn({2, 1, block->stages()[0].linears[0].site().in_features});
        const at::Tensor before = block->forward(x), own = linear.weight();
        linear.set_weight(at::randn_like(own));
        EXPECT_EQ(block->forward(x).equal(before), linear.site().scores_only) << linear.site().name;
        linear.set_weight(own);
        scores += linear.site().scores_only ? 1 : 0;
      }
    EXPECT_EQ(scores, 2);
  }
}

TEST(Model, LoadingABlockReleasesWhatItRead) {
  const auto source = tiny_llama().source();
  const auto model = open_model(source, tiny_llama().config);
  EXPECT_TRUE(source->released().empty());
  model->load_block(1);
  EXPECT_EQ(source->released().size(), 9U);
  EXPECT_EQ(source->released().count("model.layers.1.mlp.down_proj.weight"), 1U);
}

TEST(Model, RefusesMissingAndMisshapenTensorsByName) {
  const TinyModel good = tiny_llama();
  const auto load = [](const TinyModel& model) {
    open_model(model.source(), model.config)->load_block(0);
  };
  const auto fault = [&](const std::string& name, const at::Tensor& value) -> std::string {
    TinyModel bad = good;
    bad.tensors.erase(name);
    if (value.defined()) bad.tensors[name] = value;
    try {
      load(bad);
    } catch (const FormatError& error) {
      return error.what();
    }
    return "";
  };
  const std::string weight = "model.layers.0.self_attn.k_proj.weight";
  for (const std::string& name :
       {weight, std::string("model.norm.weight"), std::string("lm_head.weight")})
    EXPECT_THAT(fault(name, {}), ::testing::HasSubstr(name));
  EXPECT_THAT(fault(weight, at::zeros({24, 47})),
              ::testing::AllOf(::testing::HasSubstr(weight), ::testing::HasSubstr("[24, 47]"),
                               ::testing::HasSubstr("[24, 48]")));
  EXPECT_THAT(fault(weight, at::zeros({24, 48}, at::kInt)), ::testing::HasSubstr("dtype"));
}

TEST(Model, RefusesTokensAndPositionsOutsideTheTables) {
  const TinyModel llama = tiny_llama(), opt = tiny_opt();
  EXPECT_THROW(run(llama, at::full({1, 3}, 96, at::kLong)), std::logic_error);
  EXPECT_THROW(run(llama, at::full({1, 3}, -1, at::kLong)), std::logic_error);
  EXPECT_THROW(run(opt, random_tokens(1, 65, 96)), ConfigError);
}

TEST(Linear, RefusesAWeightOfAnotherShapeOrDtype) {
  const std::unique_ptr<Block> block = first_block(tiny_llama());
  Linear& layer = block->stages()[0].linears[1];
  EXPECT_THROW(layer.set_weight(at::zeros({48, 24})), std::logic_error);
  EXPECT_THROW(layer.set_weight(at::zeros({24, 48}, at::kDouble)), std::logic_error);
}

/// One that multiplies by 2 and tells nothing else.
class Doubling : public PackedWeight {
 public:
  void multiply(const at::Tensor& x, const at::Tensor& y) const override { y.copy_(x * 2); }
  int64_t bytes() const override { return 0; }
};

Linear packed_linear(const at::Tensor& bias) {
  LinearSite site;
  site.name = "some.linear";
  site.out_features = site.in_features = 3;
  return {site, std::make_shared<Doubling>(), bias};
}

TEST(PackedLinear, MultipliesAndAddsItsBias) {
  const at::NoGradGuard no_grad;
  const at::Tensor x = at::randn({2, 5, 3}), bias = at::randn({3});
  EXPECT_TRUE(at::equal(packed_linear({}).forward(x), x * 2));
  EXPECT_TRUE(at::equal(packed_linear(bias).forward(x), x * 2 + bias));
  const at::Tensor turned = at::randn({3, 4}).t();
  EXPECT_TRUE(at::equal(packed_linear({}).forward(turned), turned * 2));
}

TEST(PackedLinear, HasNoDenseWeightAndNoGradient) {
  Linear layer = packed_linear({});
  EXPECT_THROW(layer.weight(), std::logic_error);
  EXPECT_THROW(layer.forward(at::zeros({1, 3}).requires_grad_(true)), std::logic_error);
  EXPECT_THROW(layer.forward(at::zeros({1, 3}, at::kDouble)), std::logic_error);
  layer.set_weight(at::eye(3));
  EXPECT_TRUE(at::equal(layer.forward(at::ones({1, 3})), at::ones({1, 3})));
}

}  // namespace
}  // namespace ptq
