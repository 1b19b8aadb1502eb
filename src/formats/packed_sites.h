#pragma once
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "dequantized_source.h"
#include "ptq/backends/selection.h"
#include "ptq/model/weight_source.h"

namespace ptq {

/// The quantized linears of a checkpoint, packed when they are loaded, each by the first of its
/// backends that takes the values, too.
class PackedSites : public PackedLinears {
 public:
  /// `backends_of`: by the sites' names those to try, in order; at least one each.
  PackedSites(std::shared_ptr<const DequantizedSource> source,
              std::map<std::string, std::vector<NamedBackend>> backends_of)
      : source_(std::move(source)), backends_of_(std::move(backends_of)) {}

  /// Throws what the site's last backend throws, under a Context that names the site.
  std::shared_ptr<const PackedWeight> pack(const LinearSite& site) const override;

  /// The backend of each site: the one that packed it, before that the first to be tried.
  std::map<std::string, std::string> backend_of() const;
  /// "BACKEND: reason" of those that refused to pack a site's weight, by site.
  std::map<std::string, std::vector<std::string>> refusals() const;

 private:
  std::shared_ptr<const PackedWeight> pack_weight(const std::string& site,
                                                  const QuantizedTensor& weight,
                                                  const SparseWeight* sparse) const;

  std::shared_ptr<const DequantizedSource> source_;
  mutable std::mutex mutex_;  ///< of what follows
  /// The front is the one that runs; those before it refused to pack the weight and are gone.
  mutable std::map<std::string, std::vector<NamedBackend>> backends_of_;
  mutable std::map<std::string, std::vector<std::string>> refusals_;
};

/// The backends for a quantized site, in order, from what is known without reading its weight:
/// where the checkpoint stores a group for each input feature, they may be in any order; `sparse`:
/// whether it has single weights.  Throws UnsupportedError naming the site if there is none.
std::vector<NamedBackend> choose_backends(const BackendSelection& backends, const LinearSite& site,
                                          const QuantScheme& scheme, const TensorSource& checkpoint,
                                          bool sparse);

}  // namespace ptq
