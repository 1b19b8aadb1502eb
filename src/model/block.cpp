#include "ptq/model/block.h"

#include <utility>

#include <ATen/ATen.h>

namespace ptq {

at::Tensor Block::forward(const at::Tensor& hidden) const {
  BlockState state{hidden, {}};
  for (size_t index = 0; index < stages_.size(); ++index)
    run_stage(index, state);
  return state.hidden;
}

void Block::run_stage(size_t index, const at::Tensor& input, BlockState& state) const {
  std::vector<at::Tensor> outputs;
  for (const Linear& layer : stages_[index].linears)
    outputs.push_back(layer.forward(input));
  accept(index, std::move(outputs), state);
}

InputProducer Block::input_producer(size_t index) const {
  const LinearSite& site = stages_[index].linears.front().site();
  return {site.producer, at::arange(site.in_features, at::kLong),
          site.producer.empty() ? "nothing that makes its input can take a factor" : ""};
}

}  // namespace ptq
