#include "ptq/model/input_scale.h"

#include <stdexcept>

#include <ATen/ATen.h>

namespace ptq {
namespace {

/// `values` as the file gives them back.
at::Tensor as_stored(const at::Tensor& values, at::ScalarType dtype) {
  return values.to(dtype).to(at::kFloat);
}

/// Divides `values` by `scale`, rounded to `dtype`, and makes `scale` what they were divided by.
at::Tensor divide_exactly(const at::Tensor& values, at::Tensor& scale, at::ScalarType dtype) {
  const at::Tensor divided = as_stored(values / scale, dtype);
  const at::Tensor zero = values.eq(0);
  const at::Tensor held = divided.isfinite().logical_and(divided.ne(0)).logical_or(zero);
  scale = at::where(held, at::where(zero, scale, values / divided), at::ones_like(scale));
  return at::where(held, divided, values);
}

void scale_columns(Stage& stage, const at::Tensor& factor) {
  for (Linear& linear : stage.linears)
    linear.set_weight(linear.weight() * factor.to(linear.weight().device()));
}

}  // namespace

Linear* find_linear(Block& block, const std::string& name) {
  for (Stage& stage : block.stages())
    for (Linear& linear : stage.linears)
      if (linear.site().name == name) return &linear;
  return nullptr;
}

std::map<std::string, at::Tensor> block_vectors(Block& block) {
  std::map<std::string, at::Tensor> vectors;
  for (const auto& [name, values] : block.norms())
    vectors[name] = values->cpu();
  for (const Stage& stage : block.stages())
    for (const Linear& linear : stage.linears)
      if (linear.bias().defined()) vectors[linear.site().name + ".bias"] = linear.bias().cpu();
  return vectors;
}

void set_block_vector(Block& block, const std::string& name, const at::Tensor& values) {
  const auto norms = block.norms();
  if (const auto norm = norms.find(name); norm != norms.end()) {
    if (values.scalar_type() != at::kFloat || values.sizes() != norm->second->sizes())
      throw std::logic_error(name + " of a block was replaced by one of another shape or dtype");
    *norm->second = values.to(norm->second->device());
    return;
  }
  Linear* linear = find_linear(block, name.substr(0, name.rfind(".bias")));
  if (linear == nullptr) throw std::logic_error("no vector " + name + " in its block");
  linear->set_bias(linear->bias().defined() ? values.to(linear->bias().device()) : values);
}

int64_t input_factors(const Block& block, size_t index) {
  const InputProducer producer = block.input_producer(index);
  return producer.refusal.empty() ? producer.channel.max().item<int64_t>() + 1 : 0;
}

at::Tensor scale_input(Block& block, size_t index, const at::Tensor& wanted,
                       const StoredDtype& stored) {
  const InputProducer producer = block.input_producer(index);
  if (!producer.refusal.empty())
    throw std::logic_error("a stage whose input takes no factor was scaled: " + producer.refusal);
  if (wanted.scalar_type() != at::kFloat || wanted.dim() != 1 ||
      wanted.size(0) != input_factors(block, index) || !wanted.gt(0).all().item<bool>() ||
      !wanted.isfinite().all().item<bool>())
    throw std::logic_error("factors of an input must be float32, positive, one a channel");
  at::Tensor scale = wanted;
  const std::string bias = producer.name + ".bias", gain = producer.name + ".weight";
  std::map<std::string, at::Tensor> vectors = block_vectors(block);
  const auto set = [&](const std::string& name, const at::Tensor& values) {
    set_block_vector(block, name, values);
  };
  if (Linear* linear = find_linear(block, producer.name); linear != nullptr) {
    if (linear->bias().defined()) set(bias, divide_exactly(vectors.at(bias), scale, stored(bias)));
    linear->set_weight(linear->weight() / scale.unsqueeze(1).to(linear->weight().device()));
  } else {
    set(gain, divide_exactly(vectors.at(gain), scale, stored(gain)));
    if (vectors.count(bias)) set(bias, as_stored(vectors.at(bias) / scale, stored(bias)));
  }
  scale_columns(block.stages()[index], scale.index_select(0, producer.channel));
  return scale;
}

}  // namespace ptq
