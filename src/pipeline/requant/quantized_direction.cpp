#include "quantized_direction.h"

#include <utility>

#include <ATen/ATen.h>

namespace ptq::detail {

QuantizedDirection::QuantizedDirection(std::string key, const std::filesystem::path& directory,
                                       WeightPlaces detached)
    : key_(std::move(key)), quantized_(open_directory(directory)), detached_(std::move(detached)) {}

at::Tensor QuantizedDirection::of(const LinearSite& site, const at::Tensor& weight) const {
  if (quantized_.plan.count(site.name) == 0) return at::zeros_like(weight);
  const std::string name = site.name + ".weight";
  at::Tensor change = quantized_.tensors->tensor(name).sub_(weight);
  quantized_.tensors->release(name);
  if (const auto found = detached_.find(site.name); found != detached_.end())
    change.view({-1}).index_fill_(0, found->second, 0);
  return change;
}

}  // namespace ptq::detail
