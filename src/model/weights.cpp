#include "weights.h"

#include <stdexcept>
#include <utility>

#include <ATen/ATen.h>

#include "ptq/core/error.h"

namespace ptq {
namespace {

std::string shape_text(at::IntArrayRef shape) {
  std::string text = "[";
  for (const int64_t size : shape)
    text += (text.size() > 1 ? ", " : "") + std::to_string(size);
  return text + "]";
}

}  // namespace

at::Tensor Weights::stored(const std::string& name, const std::vector<int64_t>& shape) const {
  at::Tensor tensor = source_->tensor(name);
  if (tensor.sizes() != at::IntArrayRef(shape))
    throw FormatError(name + " has the shape " + shape_text(tensor.sizes()) +
                      ", config.json implies " + shape_text(shape));
  if (!at::isFloatingType(tensor.scalar_type()))
    throw FormatError(
        name + " has the dtype " + at::toString(tensor.scalar_type()) + ", must be a floating one",
        "a quantized checkpoint needs its quantization_config");
  return tensor;
}

at::Tensor Weights::load(const std::string& name, const std::vector<int64_t>& shape) const {
  at::Tensor copy =
      stored(name, shape).to(device_, at::kFloat, /*non_blocking=*/false, /*copy=*/true);
  source_->release(name);
  return copy.contiguous();
}

Linear Weights::load_linear(const LinearSite& site, bool bias) const {
  const at::Tensor added = bias ? load(site.name + ".bias", {site.out_features}) : at::Tensor();
  if (packed_ != nullptr)
    if (auto weight = packed_->pack(site)) return {site, std::move(weight), added};
  return {site, load(site.name + ".weight", {site.out_features, site.in_features}), added};
}

at::Tensor Weights::rows(const std::string& name, const std::vector<int64_t>& shape,
                         const at::Tensor& ids) const {
  const at::Tensor table = stored(name, shape);
  const at::Tensor flat = ids.reshape({-1});
  if (flat.numel() > 0 &&
      (flat.min().item<int64_t>() < 0 || flat.max().item<int64_t>() >= table.size(0)))
    throw std::logic_error("a row outside 0 … " + std::to_string(table.size(0) - 1) + " of " +
                           name + " was asked for");
  at::Tensor rows = table.index_select(0, flat).to(device_, at::kFloat);
  source_->release(name);
  std::vector<int64_t> sizes = ids.sizes().vec();
  sizes.push_back(table.size(1));
  return rows.reshape(sizes);
}

}  // namespace ptq
