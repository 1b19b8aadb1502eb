#include "ptq/calib/backward.h"

#include <map>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "support/tiny_model.h"

namespace {

using ptq::SiteBatch;

constexpr int64_t kHeadBytes = 1 << 20;
using ptq::testing::random_tokens;
using ptq::testing::tiny_llama;
using ptq::testing::tiny_opt;
using ptq::testing::TinyLlamaOptions;
using ptq::testing::TinyModel;

std::vector<TinyModel> models() {
  TinyModel windowed = tiny_llama();
  windowed.config["model_type"] = "mistral";
  windowed.config["sliding_window"] = 7;
  TinyLlamaOptions tied;
  tied.tied = true;
  tied.dtype = at::kBFloat16;
  TinyLlamaOptions biased;
  biased.bias = true;
  ptq::testing::TinyOptOptions norm_behind;
  norm_behind.norm_before = false;
  return {tiny_llama(),       windowed,   tiny_llama(tied),
          tiny_llama(biased), tiny_opt(), tiny_opt(norm_behind)};
}

/// The summed next-token NLL of each sequence, by the textbook.
at::Tensor plain_nll(const at::Tensor& logits, const at::Tensor& tokens) {
  const int64_t seq = tokens.size(1);
  const at::Tensor log_p = at::log_softmax(logits.narrow(1, 0, seq - 1), -1);
  return -log_p.gather(2, tokens.narrow(1, 1, seq - 1).unsqueeze(2)).squeeze(2).sum(1);
}

/// What whole-model autograd says of every weight.
std::map<std::string, at::Tensor> weight_gradients(const ptq::CausalLM& model,
                                                   const at::Tensor& tokens) {
  std::vector<std::unique_ptr<ptq::Block>> blocks;
  std::map<std::string, at::Tensor> weights;
  at::Tensor hidden = model.embed(tokens);
  for (int64_t i = 0; i < model.config().blocks; ++i) {
    blocks.push_back(model.load_block(i));
    for (ptq::Stage& stage : blocks.back()->stages())
      for (ptq::Linear& linear : stage.linears)
        weights[linear.site().name] = linear.weight().set_requires_grad(true);
    hidden = blocks.back()->forward(hidden);
  }
  const at::Tensor rows = hidden.reshape({-1, hidden.size(2)});
  const at::Tensor logits = model.logits(rows).view({tokens.size(0), tokens.size(1), -1});
  plain_nll(logits, tokens).sum().backward();
  for (auto& entry : weights)
    entry.second = entry.second.grad();
  return weights;
}

TEST(Backward, StreamedSweepEqualsWholeModelAutograd) {
  at::manual_seed(1);
  for (const TinyModel& tiny : models()) {
    const auto model = ptq::open_model(tiny.source(), tiny.config);
    const at::Tensor tokens = random_tokens(3, 20, 96);
    const std::map<std::string, at::Tensor> expected = weight_gradients(*model, tokens);

    std::vector<at::Tensor> inputs;
    std::map<std::string, at::Tensor> actual;
    const at::NoGradGuard unrecorded;
    at::Tensor hidden = model->embed(tokens);
    for (int64_t i = 0; i < model->config().blocks; ++i) {
      inputs.push_back(hidden);
      hidden = model->load_block(i)->forward(hidden);
    }
    ptq::LmHead head(*model, 7, kHeadBytes);
    at::Tensor gradient = ptq::head_backward(head, hidden, tokens).gradient;
    for (int64_t i = model->config().blocks; i-- > 0;)
      gradient = ptq::block_backward(
          *model->load_block(i), inputs[static_cast<size_t>(i)], gradient,
          [&](const ptq::Linear& linear, const SiteBatch& batch) {
            const at::Tensor x = batch.x.reshape({-1, batch.x.size(2)}).to(at::kDouble);
            const at::Tensor g = batch.g.reshape({-1, batch.g.size(2)}).to(at::kDouble);
            actual[linear.site().name] = g.t().mm(x);
          });

    ASSERT_EQ(actual.size(), expected.size());
    for (const auto& [name, gradient_of_weight] : expected) {
      const double largest = gradient_of_weight.abs().max().item<double>();
      // Two float32 chains of some hundred operations each.
      EXPECT_LE((actual[name] - gradient_of_weight).abs().max().item<double>(), 2e-5 * largest)
          << tiny.config.at("model_type") << " " << name;
    }
  }
}

TEST(Backward, HeadLossAndGradientEqualTheTextbookInAnyChunks) {
  at::manual_seed(2);
  for (const TinyModel& tiny : models()) {
    const auto model = ptq::open_model(tiny.source(), tiny.config);
    const at::Tensor tokens = random_tokens(2, 13, 96);
    const at::Tensor hidden = at::randn({2, 13, 48});
    const at::Tensor leaf = hidden.clone().requires_grad_();
    const at::Tensor logits = model->logits(leaf.reshape({-1, 48})).view({2, 13, -1});
    const at::Tensor nll = plain_nll(logits, tokens);
    nll.sum().backward();
    for (const int64_t chunk : {1, 5, 13, 1000}) {
      ptq::LmHead head(*model, chunk, kHeadBytes);
      const ptq::HeadLoss loss = ptq::head_backward(head, hidden, tokens);
      // 12 terms of about log(96), each off by its logits' rounding.
      EXPECT_TRUE(at::allclose(loss.nll, nll.detach().to(at::kDouble), 1e-5));
      EXPECT_LE((loss.gradient - leaf.grad()).abs().max().item<double>(),
                1e-5 * leaf.grad().abs().max().item<double>());
      EXPECT_EQ(loss.gradient.select(1, 12).abs().max().item<double>(), 0)
          << "the last position predicts nothing";
    }
  }
}

TEST(Backward, LeavesItsInputsAlone) {
  const TinyModel tiny = tiny_llama();
  const auto model = ptq::open_model(tiny.source(), tiny.config);
  const at::Tensor hidden = at::randn({2, 9, 48}), gradient = at::randn({2, 9, 48});
  const at::Tensor hidden_copy = hidden.clone(), gradient_copy = gradient.clone();
  ptq::block_backward(*model->load_block(0), hidden, gradient,
                      [](const ptq::Linear&, const SiteBatch&) {});
  EXPECT_TRUE(hidden.equal(hidden_copy));
  EXPECT_TRUE(gradient.equal(gradient_copy));
  EXPECT_FALSE(hidden.requires_grad());
}

// A loss of the block's own output is given that output, and goes back as the same gradient would.
TEST(Backward, AGradientMadeFromTheOutputGoesBackLikeOneThatIsGiven) {
  for (const TinyModel& tiny : models()) {
    const auto model = ptq::open_model(tiny.source(), tiny.config);
    const auto block = model->load_block(0);
    const at::Tensor hidden = at::randn({2, 9, 48}), gradient = at::randn({2, 9, 48});
    std::map<std::string, at::Tensor> given, made;
    const auto keep = [](std::map<std::string, at::Tensor>& kept) {
      return [&kept](const ptq::Linear& linear, const SiteBatch& batch) {
        kept[linear.site().name] = batch.g.clone();
      };
    };
    const at::Tensor back = ptq::block_backward(*block, hidden, gradient, keep(given));
    at::Tensor output;
    const auto make = [&](const at::Tensor& from) { return output = from, gradient; };
    EXPECT_TRUE(ptq::block_backward(*block, hidden, make, keep(made)).equal(back));
    EXPECT_FALSE(output.requires_grad());
    EXPECT_TRUE(output.equal(block->forward(hidden)));
    ASSERT_EQ(made.size(), given.size());
    for (const auto& [name, g] : given)
      EXPECT_TRUE(made.at(name).equal(g)) << name;
  }
}

}  // namespace
