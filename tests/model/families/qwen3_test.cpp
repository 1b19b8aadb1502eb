#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "model/reference.h"
#include "ptq/core/error.h"
#include "ptq/model/causal_lm.h"
#include "support/tiny_model.h"

namespace ptq {
namespace {

testing::TinyModel tiny_qwen3() {
  testing::TinyLlamaOptions options;
  options.model_type = "qwen3";
  testing::TinyModel model = testing::tiny_llama(options);
  for (const char* prefix : {"model.layers.0.self_attn.", "model.layers.1.self_attn."}) {
    model.tensors[std::string(prefix) + "q_norm.weight"] = 1 + 0.1 * at::randn({12});
    model.tensors[std::string(prefix) + "k_norm.weight"] = 1 + 0.1 * at::randn({12});
  }
  return model;
}

at::Tensor run(const testing::TinyModel& model, const at::Tensor& tokens) {
  const at::NoGradGuard no_grad;
  return run_model(*open_model(model.source(), model.config), tokens);
}

TEST(Qwen3Shared, MatchesReference) {
  testing::check_family("qwen3");
}

TEST(Qwen3, HeadNormsUndoAnyScaleOfQueriesAndKeys) {
  testing::TinyModel model = tiny_qwen3();
  const at::Tensor tokens = testing::random_tokens(1, 20, 96);
  const at::Tensor expected = run(model, tokens);
  const std::string prefix = "model.layers.0.self_attn.";
  // A power of two changes no mantissa; the norm's epsilon, 1e-6 of a mean square near 1, does.
  for (const char* name : {"q_proj.weight", "k_proj.weight"})
    model.tensors[prefix + name] = model.tensors[prefix + name] * 64;
  EXPECT_LT((run(model, tokens) - expected).abs().max().item<double>(),
            2e-5 * expected.abs().max().item<double>());
  model.tensors[prefix + "q_norm.weight"] = model.tensors[prefix + "q_norm.weight"] * 2;
  EXPECT_GT((run(model, tokens) - expected).abs().max().item<double>(), 0.01);
}

TEST(Qwen3, NeedsItsHeadNorms) {
  testing::TinyModel model = tiny_qwen3();
  model.tensors.erase("model.layers.0.self_attn.k_norm.weight");
  EXPECT_THROW(run(model, testing::random_tokens(1, 3, 96)), FormatError);
}

TEST(Qwen3, BothPathsAgreeWithAndWithoutAutograd) {
  const testing::TinyModel model = tiny_qwen3();
  const std::unique_ptr<Block> block = open_model(model.source(), model.config)->load_block(0);
  const at::Tensor x = at::randn({2, 11, 48});
  const at::Tensor recorded = block->forward(x.clone().requires_grad_(true)).detach();
  const at::NoGradGuard no_grad;
  EXPECT_LT((block->forward(x) - recorded).abs().max().item<double>(),
            2e-5 * recorded.abs().max().item<double>());
}

}  // namespace
}  // namespace ptq
