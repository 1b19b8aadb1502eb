#include "module_probe.h"

#include <ATen/ATen.h>

namespace ptq::quantizer {
namespace {

double squares(const at::Tensor& values) {
  return values.square().sum(at::kDouble).item<double>();
}

/// Gives linears their own weights back, whatever happens in its lifetime.
class OwnWeights {
 public:
  explicit OwnWeights(std::vector<Linear>& linears) : linears_(linears) {
    for (const Linear& linear : linears)
      weights_.push_back(linear.weight());
  }
  ~OwnWeights() {
    for (size_t i = 0; i < linears_.size(); ++i)
      linears_[i].set_weight(weights_[i]);
  }
  OwnWeights(const OwnWeights&) = delete;
  OwnWeights& operator=(const OwnWeights&) = delete;

 private:
  std::vector<Linear>& linears_;
  std::vector<at::Tensor> weights_;
};

}  // namespace

ModuleProbe::ModuleProbe(Block& block, size_t index, const BlockState& state)
    : block_(block), index_(index), state_(state), input_(block.stage_input(index, state)) {
  output_ = run();
  energy_ = squares(output_ - state_.hidden);
}

at::Tensor ModuleProbe::run() {
  BlockState state = state_;
  block_.run_stage(index_, input_, state);
  ends_here_ = !state.carried.defined();
  for (size_t next = index_ + 1; state.carried.defined() && next < block_.stages().size(); ++next)
    block_.run_stage(next, state);
  return state.hidden;
}

double ModuleProbe::error(const std::vector<at::Tensor>& weights) {
  std::vector<Linear>& linears = block_.stages()[index_].linears;
  const OwnWeights restored(linears);
  for (size_t i = 0; i < linears.size(); ++i)
    linears[i].set_weight(weights[i]);
  return squares(run() - output_);
}

}  // namespace ptq::quantizer
