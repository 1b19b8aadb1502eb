#include "packed_sizes.h"

#include <ATen/ATen.h>

namespace ptq::detail {

int64_t PackedSizes::of(const CheckpointFormat& format, const LinearSite& site,
                        const QuantScheme& scheme, at::ScalarType dtype) {
  const std::string key = std::to_string(site.out_features) + "x" +
                          std::to_string(site.in_features) + ":" + scheme.name() + ":" +
                          c10::toString(dtype);
  if (const auto found = known_.find(key); found != known_.end()) return found->second;
  QuantizedTensor blank;
  const int64_t groups = scheme.groups(site.in_features);
  blank.q = at::zeros({site.out_features, site.in_features}, at::kByte);
  if (scheme.lookup) {
    blank.table = at::zeros({site.out_features, 1 << scheme.bits});
  } else {
    blank.scale = at::ones({site.out_features, groups});
    blank.zero = at::full({site.out_features, groups}, 1 << (scheme.bits - 1), at::kByte);
  }
  blank.group_of = contiguous_groups(scheme, site.in_features);
  blank.scheme = scheme;
  int64_t bytes = 0;
  for (const auto& entry : format.pack(site, blank, dtype))
    bytes += static_cast<int64_t>(entry.second.nbytes());
  return known_[key] = bytes;
}

int64_t tensor_bytes(const Checkpoint& checkpoint, const std::string& name) {
  const TensorEntry& entry = checkpoint.entry(name);
  return static_cast<int64_t>(entry.end - entry.begin);
}

int64_t tensor_bytes(const Checkpoint& checkpoint) {
  int64_t bytes = 0;
  for (const std::string& name : checkpoint.names())
    bytes += tensor_bytes(checkpoint, name);
  return bytes;
}

}  // namespace ptq::detail
