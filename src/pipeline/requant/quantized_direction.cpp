#include "quantized_direction.h"

#include <utility>

#include <ATen/ATen.h>

#include "ptq/formats/sparse_part.h"

namespace ptq::detail {

QuantizedDirection::QuantizedDirection(std::string key, const std::filesystem::path& directory,
                                       WeightPlaces detached)
    : key_(std::move(key)), quantized_(open_directory(directory)), detached_(std::move(detached)) {}

at::Tensor QuantizedDirection::of(const LinearSite& site, const at::Tensor& weight) const {
  const auto planned = quantized_.plan.find(site.name);
  if (planned == quantized_.plan.end()) return at::zeros_like(weight);
  at::Tensor change =
      quantized_.layout->unpack(site, planned->second, *quantized_.checkpoint).dequantize();
  if (quantized_.sparse)
    if (const auto single = quantized_.sparse->find(site.name)) change = single->placed_in(change);
  change.sub_(weight);
  if (const auto found = detached_.find(site.name); found != detached_.end())
    change.view({-1}).index_fill_(0, found->second, 0);
  return change;
}

}  // namespace ptq::detail
