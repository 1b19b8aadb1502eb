#include "model/reference.h"

#include <fstream>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "ptq/model/kernels.h"

namespace ptq::testing {
namespace {

constexpr double kTolerance = 2e-4;  // of the largest logit: what the project promises

Json read(const std::filesystem::path& path) {
  std::ifstream file(path);
  return Json::parse(file);
}

at::Tensor tokens_of(const Json& ids) {
  return at::tensor(ids.get<std::vector<int64_t>>(), at::kLong).unsqueeze(0);
}

at::Tensor logits_of(const Json& values) {
  return at::tensor(values.get<std::vector<double>>(), at::kDouble);
}

void expect_mean_nll(const at::Tensor& logits, const at::Tensor& tokens, double expected) {
  const int64_t rows = logits.size(0) - 1;
  const at::Tensor used = logits.narrow(0, 0, rows).contiguous();
  const at::Tensor targets = tokens.reshape({-1}).narrow(0, 1, rows).contiguous();
  at::Tensor nll = at::empty({rows}, at::kDouble);
  nll_rows({used.data_ptr<float>(), rows, used.size(1)}, targets.data_ptr<int64_t>(),
           nll.data_ptr<double>());
  EXPECT_NEAR(nll.mean().item<double>(), expected, kTolerance * logits.abs().max().item<double>());
}

/// Norms of the gradient of the summed NLL of all sequences, by weight: what autograd through
/// the blocks gives.
void expect_gradients(const CausalLM& model, const Json& reference) {
  std::vector<std::unique_ptr<Block>> blocks;
  std::map<std::string, at::Tensor> weights;
  for (int64_t i = 0; i < model.config().blocks; ++i) {
    blocks.push_back(model.load_block(i));
    for (Stage& stage : blocks.back()->stages())
      for (Linear& layer : stage.linears)
        weights[layer.site().name + ".weight"] = layer.weight().set_requires_grad(true);
  }
  at::Tensor total = at::zeros({}, at::kFloat);
  for (const Json& ids : reference.at("input_ids")) {
    const at::Tensor tokens = tokens_of(ids);
    at::Tensor hidden = model.embed(tokens);
    for (const auto& block : blocks)
      hidden = block->forward(hidden);
    const at::Tensor logits = model.logits(hidden.squeeze(0));
    const at::Tensor log_p = at::log_softmax(logits.narrow(0, 0, logits.size(0) - 1), -1);
    total = total - log_p.gather(1, tokens.squeeze(0).slice(0, 1).unsqueeze(1)).sum();
  }
  total.backward();
  for (const auto& [name, norm] : reference.at("grad_norm_of_summed_nll").items()) {
    ASSERT_EQ(weights.count(name), 1U) << name;
    EXPECT_NEAR(weights[name].grad().norm().item<double>(), norm.get<double>(),
                1e-4 * norm.get<double>())
        << name;
  }
}

}  // namespace

std::filesystem::path shared_data() {
  return std::filesystem::path(PTQ_SOURCE_DIR) / "../shared/data";
}

at::Tensor scaled_logits(const CausalLM& model, const at::Tensor& tokens,
                         const StoredDtype& stored) {
  at::manual_seed(6);
  at::Tensor hidden = model.embed(tokens);
  for (int64_t index = 0; index < model.config().blocks; ++index) {
    const auto block = model.load_block(index);
    for (size_t stage = 0; stage < block->stages().size(); ++stage)
      if (const int64_t factors = input_factors(*block, stage); factors > 0)
        scale_input(*block, stage, at::pow(10, 2 * at::rand({factors}) - 1), stored);
    hidden = block->forward(hidden);
  }
  return model.logits(hidden.reshape({-1, hidden.size(2)}))
      .reshape({tokens.size(0), tokens.size(1), -1});
}

void check_family(const std::string& name) {
  const std::filesystem::path directory = shared_data() / "families" / name;
  if (!std::filesystem::exists(directory)) GTEST_SKIP() << directory << " is absent";
  const auto checkpoint = std::make_shared<const Checkpoint>(directory);
  const std::unique_ptr<CausalLM> model = open_model(checkpoint, checkpoint->config());
  const Json reference = read(directory / "reference.json");
  for (size_t i = 0; i < reference.at("input_ids").size(); ++i) {
    const at::Tensor tokens = tokens_of(reference.at("input_ids")[i]);
    const auto [logits, scaled] = [&] {
      const at::NoGradGuard no_grad;
      const auto as_is = [](const std::string& /*name*/) { return at::kFloat; };
      return std::pair(run_model(*model, tokens).squeeze(0),
                       scaled_logits(*model, tokens, as_is).squeeze(0));
    }();
    EXPECT_LE((scaled - logits).abs().max().item<double>(),
              kTolerance * logits.abs().max().item<double>());
    for (size_t k = 0; k < reference.at("positions").size(); ++k) {
      const at::Tensor expected = logits_of(reference.at("logits")[i][k]);
      const at::Tensor actual = logits[reference.at("positions")[k].get<int64_t>()];
      EXPECT_LE((actual - expected).abs().max().item<double>(),
                kTolerance * expected.abs().max().item<double>())
          << "sequence " << i << ", position " << reference.at("positions")[k];
    }
    expect_mean_nll(logits, tokens, reference.at("mean_nll_nats")[i].get<double>());
  }
  expect_gradients(*model, reference);
}

void check_trained(const std::filesystem::path& directory, const std::filesystem::path& reference) {
  if (!std::filesystem::exists(directory / "config.json"))
    GTEST_SKIP() << directory << " is absent";
  const at::NoGradGuard no_grad;
  const auto checkpoint = std::make_shared<const Checkpoint>(directory);
  const std::unique_ptr<CausalLM> model = open_model(checkpoint, checkpoint->config());
  const Json expected = read(reference);
  const Json& prompt =
      expected.at(expected.contains("prompt_ids") ? "prompt_ids" : "prompt_ids_with_bos");
  const at::Tensor last = run_model(*model, tokens_of(prompt)).squeeze(0)[-1];
  const double bound = kTolerance * last.abs().max().item<double>();
  const at::Tensor first_logits = logits_of(expected.at(
      expected.contains("last_logits_first8") ? "last_logits_first8" : "last_logits_first16"));
  EXPECT_LE((last.narrow(0, 0, first_logits.size(0)) - first_logits).abs().max().item<double>(),
            bound);
  for (const Json& entry : expected.at("last_top5"))
    EXPECT_NEAR(last[entry[0].get<int64_t>()].item<double>(), entry[1].get<double>(), bound);

  const at::Tensor greedy = tokens_of(expected.at("greedy_ids"));
  const at::Tensor best = run_model(*model, greedy).squeeze(0).argmax(-1);
  for (int64_t i = static_cast<int64_t>(prompt.size()); i < greedy.size(1); ++i)
    EXPECT_EQ(best[i - 1].item<int64_t>(), greedy[0][i].item<int64_t>()) << "position " << i;
}

}  // namespace ptq::testing
