#include "support/fake_model.h"

#include <utility>

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

namespace ptq::test {
namespace {

/// float32 or float64 [batch, seq, hidden] -> the mean of each token and those before it.
at::Tensor running_mean(const at::Tensor& hidden) {
  const at::Tensor counts = at::arange(1, hidden.size(1) + 1, hidden.options()).unsqueeze(-1);
  return hidden.cumsum(1) / counts;
}

class FakeBlock : public Block {
 public:
  explicit FakeBlock(const Linear& linear) { stages_.push_back({linear.site().input, {linear}}); }
  at::Tensor stage_input(size_t, const BlockState& state) const override {
    return running_mean(state.hidden);
  }
  void accept(size_t, std::vector<at::Tensor> outputs, BlockState& state) const override {
    state.hidden = state.hidden + outputs[0].tanh();
  }
};

}  // namespace

FakeModel::FakeModel(const Shape& shape) {
  config_.vocab = shape.vocab;
  config_.hidden = shape.hidden;
  config_.blocks = shape.blocks;
  config_.max_positions = shape.max_positions;
  at::Generator generator = at::detail::createCPUGenerator(static_cast<uint64_t>(shape.seed));
  embedding_ = at::randn({shape.vocab, shape.hidden}, generator, at::kFloat);
  head_ = at::randn({shape.vocab, shape.hidden}, generator, at::kFloat);
  for (int64_t i = 0; i < shape.blocks; ++i)
    weights_.push_back(at::randn({shape.hidden, shape.hidden}, generator, at::kFloat));
}

std::vector<LinearSite> FakeModel::sites() const {
  std::vector<LinearSite> sites;
  for (int64_t i = 0; i < config_.blocks; ++i)
    sites.push_back({block_prefix(i) + "mix", block_prefix(i) + "input", static_cast<int>(i), 0,
                     config_.hidden, config_.hidden});
  return sites;
}

at::Tensor FakeModel::embed(const at::Tensor& tokens) const {
  return embedding_.index_select(0, tokens.reshape(-1))
      .reshape({tokens.size(0), tokens.size(1), config_.hidden});
}

std::unique_ptr<Block> FakeModel::load_block(int64_t index) const {
  ++blocks_loaded_;
  const auto at = static_cast<size_t>(index);
  const LinearSite site = sites()[at];
  return std::make_unique<FakeBlock>(packed_.empty() ? Linear(site, weights_[at], {})
                                                     : Linear(site, packed_[at], {}));
}

at::Tensor FakeModel::final_norm(const at::Tensor& hidden) const {
  return hidden * 0.5;
}

std::string FakeModel::block_prefix(int64_t index) const {
  return "blocks." + std::to_string(index) + ".";
}

at::Tensor FakeModel::log_probabilities(const std::vector<int64_t>& ids) const {
  at::Tensor hidden =
      embedding_.to(at::kDouble).index_select(0, at::tensor(ids, at::kLong)).unsqueeze(0);
  for (const at::Tensor& weight : weights_)
    hidden = hidden + running_mean(hidden).matmul(weight.to(at::kDouble).t()).tanh();
  const at::Tensor logits = (hidden[0] * 0.5).matmul(head_.to(at::kDouble).t());
  return logits.log_softmax(-1);
}

}  // namespace ptq::test
