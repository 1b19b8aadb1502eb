#include "dequantized_source.h"

#include <algorithm>
#include <utility>

#include <ATen/ATen.h>

#include "ptq/core/error.h"

namespace ptq {

DequantizedSource::DequantizedSource(std::shared_ptr<const TensorSource> packed,
                                     std::shared_ptr<const CheckpointFormat> layout,
                                     const QuantPlan& plan, const std::vector<LinearSite>& sites,
                                     std::shared_ptr<const SparsePart> sparse)
    : packed_(std::move(packed)), layout_(std::move(layout)), sparse_(std::move(sparse)) {
  for (const LinearSite& site : sites) {
    const auto found = plan.find(site.name);
    if (found != plan.end()) quantized_[site.name + ".weight"] = {site, found->second, {}};
  }
  for (const std::string& name : packed_->names()) {
    const size_t dot = name.rfind('.');
    const std::string prefix = name.substr(0, dot == std::string::npos ? 0 : dot);
    const auto found = quantized_.find(prefix + ".weight");
    if (found == quantized_.end() || name == prefix + ".bias")
      names_.push_back(name);
    else
      found->second.packed.push_back(name);
  }
  for (const auto& entry : quantized_)
    names_.push_back(entry.first);
  std::sort(names_.begin(), names_.end());
}

bool DequantizedSource::contains(const std::string& name) const {
  return std::binary_search(names_.begin(), names_.end(), name);
}

std::optional<QuantizedTensor> DequantizedSource::quantized(const std::string& name) const {
  const auto found = quantized_.find(name);
  if (found == quantized_.end()) return std::nullopt;
  return layout_->unpack(found->second.site, found->second.scheme, *packed_);
}

std::optional<SparseWeight> DequantizedSource::sparse(const std::string& name) const {
  const auto found = quantized_.find(name);
  if (sparse_ == nullptr || found == quantized_.end()) return std::nullopt;
  return sparse_->find(found->second.site.name);
}

at::Tensor DequantizedSource::tensor(const std::string& name) const {
  if (const auto weight = quantized(name))
    return sparse(name).value_or(SparseWeight()).placed_in(weight->dequantize());
  if (!contains(name)) throw FormatError("there is no tensor " + name);
  return packed_->tensor(name);
}

std::vector<std::string> DequantizedSource::names() const {
  return names_;
}

void DequantizedSource::release(const std::string& name) const {
  const auto found = quantized_.find(name);
  if (found == quantized_.end()) return packed_->release(name);
  for (const std::string& part : found->second.packed)
    packed_->release(part);
  if (sparse_ != nullptr) sparse_->release(found->second.site.name);
}

}  // namespace ptq
