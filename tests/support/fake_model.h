#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "ptq/model/causal_lm.h"

namespace ptq::test {

/// A random causal model without files: every block adds tanh(W · mean of the tokens so far).
class FakeModel : public CausalLM {
 public:
  struct Shape {
    int64_t vocab = 37, hidden = 8, blocks = 2, max_positions = 64;
    int64_t seed = 0;
  };
  explicit FakeModel(const Shape& shape);

  const ModelConfig& config() const override { return config_; }
  std::vector<LinearSite> sites() const override;
  at::Tensor embed(const at::Tensor& tokens) const override;
  std::unique_ptr<Block> load_block(int64_t index) const override;
  at::Tensor final_norm(const at::Tensor& hidden) const override;
  at::Tensor head_weight() const override { return head_; }
  std::string block_prefix(int64_t index) const override;

  /// The log-probabilities of every next token, float64 [ids, vocab], computed in float64 from the
  /// whole window at once: the oracle.
  at::Tensor log_probabilities(const std::vector<int64_t>& ids) const;

  at::Tensor embedding_, head_;      ///< float32 [vocab, hidden]
  std::vector<at::Tensor> weights_;  ///< float32 [hidden, hidden], one a block
  /// If there, in place of weights_, one a block.
  std::vector<std::shared_ptr<const PackedWeight>> packed_;
  mutable int64_t blocks_loaded_ = 0;

 private:
  ModelConfig config_;
};

}  // namespace ptq::test
