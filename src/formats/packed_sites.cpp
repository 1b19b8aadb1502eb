#include "packed_sites.h"

#include "ptq/core/error.h"

namespace ptq {

std::shared_ptr<const PackedWeight> PackedSites::pack(const LinearSite& site) const {
  const auto found = backend_of_.find(site.name);
  if (found == backend_of_.end()) return nullptr;
  const std::string name = site.name + ".weight";
  std::shared_ptr<const PackedWeight> packed =
      found->second.backend->pack(source_->quantized(name).value(), nullptr);
  source_->release(name);
  return packed;
}

const NamedBackend& choose_backend(const BackendSelection& backends, const LinearSite& site,
                                   const QuantScheme& scheme, const TensorSource& checkpoint) {
  const bool permuted =
      checkpoint.contains(site.name + ".g_idx") || checkpoint.contains(site.name + ".weight_g_idx");
  const WeightShape shape{scheme, site.out_features, site.in_features, permuted, false};
  const NamedBackend* chosen = nullptr;
  with_context("choosing a backend for " + site.name, [&] { chosen = &backends.choose(shape); });
  return *chosen;
}

}  // namespace ptq
