#pragma once
#include <map>
#include <memory>
#include <string>

#include "dequantized_source.h"
#include "ptq/backends/selection.h"
#include "ptq/model/weight_source.h"

namespace ptq {

/// The quantized linears of a checkpoint, packed by the backends chosen for them when they are
/// loaded.
class PackedSites : public PackedLinears {
 public:
  /// `backend_of`: by the sites' names.
  PackedSites(std::shared_ptr<const DequantizedSource> source,
              std::map<std::string, NamedBackend> backend_of)
      : source_(std::move(source)), backend_of_(std::move(backend_of)) {}

  std::shared_ptr<const PackedWeight> pack(const LinearSite& site) const override;

 private:
  std::shared_ptr<const DequantizedSource> source_;
  std::map<std::string, NamedBackend> backend_of_;
};

/// The backend for a quantized site, from what is known without reading its weight: where the
/// checkpoint stores a group for each input feature, they may be in any order.  Throws
/// UnsupportedError naming the site if there is none.
const NamedBackend& choose_backend(const BackendSelection& backends, const LinearSite& site,
                                   const QuantScheme& scheme, const TensorSource& checkpoint);

}  // namespace ptq
