#pragma once
#include <map>
#include <string>

#include "ptq/formats/format.h"

namespace ptq::detail {

/// Bytes of linears on disk, scales and zeros included: those of packed zeros, made once a shape
/// and scheme.
class PackedSizes {
 public:
  /// `dtype`: of the checkpoint's weight.
  int64_t of(const CheckpointFormat& format, const LinearSite& site, const QuantScheme& scheme,
             at::ScalarType dtype);

 private:
  std::map<std::string, int64_t> known_;
};

/// Of the data of the tensor `name`.
int64_t tensor_bytes(const Checkpoint& checkpoint, const std::string& name);
/// Of all tensors.
int64_t tensor_bytes(const Checkpoint& checkpoint);

}  // namespace ptq::detail
