#pragma once
#include <memory>

#include <c10/core/Device.h>

#include "ptq/backends/backend.h"
#include "ptq/io/checkpoint.h"
#include "ptq/model/site.h"

namespace ptq {

/// Linears whose weights are multiplied by in packed form and never exist as dense tensors.
class PackedLinears {
 public:
  virtual ~PackedLinears() = default;

  /// The weight of `site`, packed anew by every call; null: it is a tensor like the others.
  /// Throws what reading and packing it throw.
  virtual std::shared_ptr<const PackedWeight> pack(const LinearSite& site) const = 0;
};

/// Where a model's weights come from.
struct WeightSource {
  std::shared_ptr<const TensorSource> tensors;
  std::shared_ptr<const PackedLinears> packed = nullptr;  ///< null: every weight is a tensor
  at::Device device = at::kCPU;  ///< where the model computes: what it loads is copied there
};

}  // namespace ptq
