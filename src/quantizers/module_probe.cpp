#include "module_probe.h"

#include <ATen/ATen.h>

namespace ptq::quantizer {
namespace {

double squares(const at::Tensor& values) {
  return values.square().sum(at::kDouble).item<double>();
}

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
  std::vector<at::Tensor> own;
  for (size_t i = 0; i < linears.size(); ++i) {
    own.push_back(linears[i].weight());
    linears[i].set_weight(weights[i]);
  }
  const double error = squares(run() - output_);
  for (size_t i = 0; i < linears.size(); ++i)
    linears[i].set_weight(own[i]);
  return error;
}

}  // namespace ptq::quantizer
