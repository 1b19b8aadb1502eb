#include "ptq/model/input_scale.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/reference.h"
#include "support/fake_model.h"
#include "support/tiny_model.h"

namespace ptq {
namespace {

using ::testing::HasSubstr;
using testing::random_tokens;
using testing::scaled_logits;
using testing::tiny_llama;
using testing::tiny_opt;
using testing::TinyLlamaOptions;
using testing::TinyModel;
using testing::TinyOptOptions;

// A factor moves by one rounding of each weight, 2^-24, and the sums after it round anew: as
// model_test.cpp has it, a few 1e-6 of the largest logit.
constexpr double kTolerance = 2e-5;

double distance(const at::Tensor& actual, const at::Tensor& expected) {
  return ((actual - expected).abs().max() / expected.abs().max()).item<double>();
}

StoredDtype always(at::ScalarType dtype) {
  return [dtype](const std::string& /*name*/) { return dtype; };
}

TinyModel llama(const std::string& type, int64_t kv_heads, bool bias,
                at::ScalarType dtype = at::kFloat) {
  TinyLlamaOptions options;
  options.model_type = type;
  options.kv_heads = kv_heads;
  options.bias = bias;
  options.dtype = dtype;
  return tiny_llama(options);
}

TinyModel opt(bool norm_before) {
  TinyOptOptions options;
  options.norm_before = norm_before;
  return tiny_opt(options);
}

std::unique_ptr<Block> first_block(const TinyModel& model) {
  return open_model(model.source(), model.config)->load_block(0);
}

TEST(InputScale, RandomFactorsEverywhereLeaveTheLogitsAlone) {
  const at::NoGradGuard no_grad;
  for (const TinyModel& model :
       {llama("llama", 2, true), llama("llama", 1, false), llama("llama", 4, false),
        llama("mistral", 2, false), opt(true), opt(false)}) {
    const at::Tensor tokens = random_tokens(2, 21, 96);
    const auto opened = open_model(model.source(), model.config);
    EXPECT_LT(
        distance(scaled_logits(*opened, tokens, always(at::kFloat)), run_model(*opened, tokens)),
        kTolerance)
        << model.config.dump();
  }
}

TEST(InputScale, WhatTheFileRoundsDoesNotChangeTheFunction) {
  const at::NoGradGuard no_grad;
  const TinyModel model = llama("llama", 2, true, at::kBFloat16);
  const at::Tensor tokens = random_tokens(2, 21, 96);
  const auto opened = open_model(model.source(), model.config);
  EXPECT_LT(
      distance(scaled_logits(*opened, tokens, always(at::kBFloat16)), run_model(*opened, tokens)),
      kTolerance);
}

TEST(InputScale, WhatItDividesIsWhatTheFileHolds) {
  for (const TinyModel& model : {llama("llama", 2, true, at::kBFloat16), opt(true)}) {
    const auto block = first_block(model);
    at::manual_seed(5);
    for (size_t stage = 0; stage < block->stages().size(); ++stage) {
      const at::Tensor wanted = at::exp(at::randn({input_factors(*block, stage)}));
      const at::Tensor used = scale_input(*block, stage, wanted, always(at::kBFloat16));
      // The quotient is rounded by half of 2^-8 of itself at most.
      EXPECT_TRUE(at::allclose(used, wanted, 0x1p-8, 0));
    }
    for (const auto& [name, values] : block_vectors(*block)) {
      const bool divided =
          name.find("norm") != std::string::npos || name.find("v_proj") != std::string::npos;
      EXPECT_TRUE(!divided || at::equal(values, values.to(at::kBFloat16).to(at::kFloat))) << name;
    }
  }
}

TEST(InputScale, QueryHeadsThatShareAValueHeadShareFactors) {
  const auto block = first_block(llama("llama", 2, false));  // 4 heads of 12
  EXPECT_EQ(input_factors(*block, 0), 48);
  EXPECT_EQ(input_factors(*block, 1), 24);
  const at::Tensor before = block->stages()[1].linears[0].weight();
  scale_input(*block, 1, at::arange(1, 25, at::kFloat), always(at::kFloat));
  const at::Tensor factor = block->stages()[1].linears[0].weight() / before;
  for (const int64_t channel : {0, 7, 24, 40})
    EXPECT_NEAR(factor[0][channel].item<double>(),
                static_cast<double>(channel / 24 * 12 + channel % 12 + 1), 1e-5);
}

TEST(InputScale, AChannelWhoseQuotientTheFileCannotHoldIsLeftAlone) {
  const auto block = first_block(llama("llama", 2, false));
  const std::string gain = block->input_producer(0).name + ".weight";
  const at::Tensor before = block_vectors(*block).at(gain).clone();
  at::Tensor wanted = at::full({48}, 2.0F);
  wanted[3] = 1e-6F;  // a gain near 1 would become 1e6, above float16's range
  wanted[4] = 1e9F;   // … and 1e-9, below its smallest number
  const at::Tensor used = scale_input(*block, 0, wanted, always(at::kHalf));
  const at::Tensor after = block_vectors(*block).at(gain);
  for (const int64_t channel : {3, 4}) {
    EXPECT_EQ(used[channel].item<float>(), 1.0F);
    EXPECT_EQ(after[channel].item<float>(), before[channel].item<float>());
  }
  EXPECT_NEAR(used[5].item<double>(), 2, 1e-2);
}

TEST(InputScale, AGainOfZeroStaysZero) {
  const auto block = first_block(llama("llama", 2, false));
  const std::string gain = block->input_producer(0).name + ".weight";
  at::Tensor values = block_vectors(*block).at(gain).clone();
  values[0] = 0;
  set_block_vector(*block, gain, values);
  const at::Tensor used = scale_input(*block, 0, at::full({48}, 3.0F), always(at::kBFloat16));
  EXPECT_EQ(used[0].item<float>(), 3.0F);
  EXPECT_EQ(block_vectors(*block).at(gain)[0].item<float>(), 0.0F);
}

TEST(InputScale, AStageThatTakesNoFactorSaysWhy) {
  const auto post = first_block(opt(false));
  EXPECT_THAT(post->input_producer(0).refusal, HasSubstr("residual"));
  EXPECT_EQ(input_factors(*post, 0), 0);
  EXPECT_EQ(input_factors(*post, 1), 48);
  EXPECT_THROW(scale_input(*post, 0, at::ones({48}), always(at::kFloat)), std::logic_error);
  const auto fake = test::FakeModel(test::FakeModel::Shape()).load_block(0);
  EXPECT_THAT(fake->input_producer(0).refusal, HasSubstr("nothing"));
}

TEST(InputScale, RefusesFactorsThatDoNotFit) {
  const auto block = first_block(llama("llama", 2, false));
  for (const at::Tensor& wrong : {at::ones({24}), at::ones({48}, at::kDouble), at::ones({48, 1}),
                                  at::zeros({48}), at::full({48}, INFINITY)})
    EXPECT_THROW(scale_input(*block, 0, wrong, always(at::kFloat)), std::logic_error);
}

TEST(InputScale, RefusesAVectorThatIsNotThere) {
  const auto block = first_block(llama("llama", 2, true));
  const std::string gain = block->input_producer(0).name + ".weight";
  EXPECT_THROW(set_block_vector(*block, "unknown.bias", at::ones({48})), std::logic_error);
  EXPECT_THROW(set_block_vector(*block, gain, at::ones({47})), std::logic_error);
  Linear& linear = block->stages()[0].linears[0];
  EXPECT_THROW(linear.set_bias(at::ones({1})), std::logic_error);
  EXPECT_THROW(
      first_block(llama("llama", 2, false))->stages()[0].linears[0].set_bias(at::ones({48})),
      std::logic_error);
}

}  // namespace
}  // namespace ptq
