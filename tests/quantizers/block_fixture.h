#pragma once
#include <memory>
#include <utility>
#include <vector>

#include <ATen/ATen.h>

#include "ptq/calib/sweep.h"
#include "ptq/quantizers/quantizer.h"
#include "support/tiny_model.h"

namespace ptq {

/// The first block of a model with calibration states in front of it, all linears planned.
class TestBlock {
 public:
  TestBlock(const testing::TinyModel& model, const Quantizer& quantizer, QuantScheme scheme)
      : block_(open_model(model.source(), model.config)->load_block(0)) {
    at::manual_seed(12);
    const int64_t hidden = block_->stages()[0].linears[0].site().in_features;
    // A few channels are much larger than the others, as those of language models are.
    states_ = at::randn({4, 24, hidden}) * at::exp(1.5 * at::randn({hidden}));
    const StatisticSet statistics(quantizer.block_statistics());
    stats_ = collect_stages(*block_, states_, statistics, {});
    for (const Stage& stage : block_->stages())
      for (const Linear& linear : stage.linears)
        plan_[linear.site().name] = scheme;
  }

  BlockContext context() {
    return {*block_, states_, stats_, plan_, [](const std::string&) { return at::kFloat; }, stored};
  }
  std::function<SiteStats(const LinearSite& site)> stored;  ///< BlockContext::stored_stats
  Block& block() { return *block_; }
  const at::Tensor& states() const& { return states_; }
  QuantPlan& plan() { return plan_; }
  Linear& linear(size_t stage, size_t index) { return block_->stages()[stage].linears[index]; }

 private:
  std::unique_ptr<Block> block_;
  at::Tensor states_;
  std::vector<SiteStats> stats_;
  QuantPlan plan_;
};

/// The gain of the first norm spread over two orders of magnitude: what AWQ is made for.
inline testing::TinyModel spread_llama() {
  testing::TinyModel model = testing::tiny_llama();
  at::manual_seed(13);
  for (auto& [name, tensor] : model.tensors)
    if (name.find("layernorm") != std::string::npos)
      tensor = tensor * at::exp(1.5 * at::randn({tensor.size(0)}));
  return model;
}

}  // namespace ptq
