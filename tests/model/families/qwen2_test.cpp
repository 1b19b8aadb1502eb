#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/plain_formula.h"
#include "model/reference.h"
#include "ptq/core/error.h"
#include "ptq/model/causal_lm.h"

namespace ptq {
namespace {

/// A tiny Qwen2: Llama with biases of q, k, v only.
testing::TinyModel tiny_qwen2() {
  testing::TinyLlamaOptions options;
  options.model_type = "qwen2";
  testing::TinyModel model = testing::tiny_llama(options);
  for (int64_t block = 0; block < options.blocks; ++block) {
    const std::string prefix = "model.layers." + std::to_string(block) + ".self_attn.";
    model.tensors[prefix + "q_proj.bias"] = at::randn({48});
    model.tensors[prefix + "k_proj.bias"] = at::randn({24});
    model.tensors[prefix + "v_proj.bias"] = at::randn({24});
  }
  return model;
}

at::Tensor run(const testing::TinyModel& model, const at::Tensor& tokens) {
  const at::NoGradGuard no_grad;
  return run_model(*open_model(model.source(), model.config), tokens);
}

TEST(Qwen2Shared, MatchesReference) {
  testing::check_family("qwen2");
}

TEST(Qwen2, EqualsPlainFormulaAndNeedsItsBiases) {
  testing::TinyModel model = tiny_qwen2();
  const at::Tensor tokens = testing::random_tokens(1, 20, 96);
  const at::Tensor expected = testing::plain_logits(model, tokens);
  // As in model_test.cpp: float32 rounding of short sums.
  EXPECT_LT((run(model, tokens) - expected).abs().max().item<double>(),
            2e-5 * expected.abs().max().item<double>());
  model.tensors.erase("model.layers.1.self_attn.k_proj.bias");
  EXPECT_THROW(run(model, tokens), FormatError);
}

TEST(Qwen2, WindowNeedsItsSwitchAndStartsAtMaxWindowLayers) {
  testing::TinyModel model = tiny_qwen2();
  const at::Tensor tokens = testing::random_tokens(1, 20, 96);
  const at::Tensor full = run(model, tokens);
  model.config["sliding_window"] = 5;
  model.config["max_window_layers"] = 1;
  EXPECT_TRUE(at::equal(run(model, tokens), full));
  model.config["use_sliding_window"] = true;
  const at::Tensor upper = run(model, tokens);
  EXPECT_FALSE(at::equal(upper, full));
  model.config["max_window_layers"] = 2;
  EXPECT_TRUE(at::equal(run(model, tokens), full));
  model.config["layer_types"] = {"full_attention", "sliding_attention"};
  EXPECT_TRUE(at::equal(run(model, tokens), upper));
}

}  // namespace
}  // namespace ptq
