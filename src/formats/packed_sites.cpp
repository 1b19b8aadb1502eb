#include "packed_sites.h"

#include "ptq/core/error.h"

namespace ptq {
namespace {

/// Whether another backend may do what ended in `error`: this one does not take the values, or its
/// device's memory is full.
bool another_may_pack(const Error& error) {
  return dynamic_cast<const UnsupportedError*>(&error) != nullptr ||
         dynamic_cast<const ResourceError*>(&error) != nullptr;
}

}  // namespace

std::shared_ptr<const PackedWeight> PackedSites::pack(const LinearSite& site) const {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (backends_of_.count(site.name) == 0) return nullptr;
  }
  const std::string name = site.name + ".weight";
  return with_context("packing " + site.name, [&] {
    const std::optional<SparseWeight> sparse = source_->sparse(name);
    auto packed = pack_weight(site.name, source_->quantized(name).value(),
                              sparse.has_value() ? &*sparse : nullptr);
    source_->release(name);
    return packed;
  });
}

std::shared_ptr<const PackedWeight> PackedSites::pack_weight(const std::string& site,
                                                             const QuantizedTensor& weight,
                                                             const SparseWeight* sparse) const {
  std::vector<NamedBackend> left;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    left = backends_of_.at(site);
  }
  std::vector<std::string> refusals;
  for (;; left.erase(left.begin())) {
    try {
      std::shared_ptr<const PackedWeight> packed = left.front().backend->pack(weight, sparse);
      const std::lock_guard<std::mutex> lock(mutex_);
      backends_of_.at(site) = left;
      // Packed again, the site has lost those backends, which are not asked any more.
      if (!refusals.empty()) refusals_[site] = refusals;
      return packed;
    } catch (const Error& error) {
      if (left.size() == 1 || !another_may_pack(error)) throw;
      refusals.push_back(left.front().name + ": " + error.what());
    }
  }
}

std::map<std::string, std::string> PackedSites::backend_of() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::map<std::string, std::string> names;
  for (const auto& [site, backends] : backends_of_)
    names[site] = backends.front().name;
  return names;
}

std::map<std::string, std::vector<std::string>> PackedSites::refusals() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return refusals_;
}

std::vector<NamedBackend> choose_backends(const BackendSelection& backends, const LinearSite& site,
                                          const QuantScheme& scheme, const TensorSource& checkpoint,
                                          bool sparse) {
  const bool permuted =
      checkpoint.contains(site.name + ".g_idx") || checkpoint.contains(site.name + ".weight_g_idx");
  const WeightShape shape{scheme, site.out_features, site.in_features, permuted, sparse};
  return with_context("choosing a backend for " + site.name,
                      [&] { return backends.takers(shape); });
}

}  // namespace ptq
