#pragma once
#include <memory>
#include <optional>
#include <string>

#include <ATen/core/Tensor.h>

#include "ptq/backends/device_products.h"
#include "ptq/core/registry.h"
#include "ptq/quant/quantized_tensor.h"
#include "ptq/quant/sparse_weight.h"

namespace ptq {

/// What a backend is asked to multiply by, known before any weight is read.
struct WeightShape {
  QuantScheme scheme;
  int64_t out_features = 0, in_features = 0;
  bool permuted = false;  ///< groups are not runs of columns (activation order)
  bool sparse = false;    ///< a SparseWeight comes with it
};

/// What a backend is asked when it is given `weight` and `sparse` (null: none).
WeightShape shape_of(const QuantizedTensor& weight, const SparseWeight* sparse);

/// A quantized weight [out, in] in one backend's own layout.  Const methods may be called from
/// several threads.
class PackedWeight {
 public:
  virtual ~PackedWeight() = default;

  /// Where `multiply` takes its tensors.
  virtual at::Device device() const { return at::kCPU; }

  /// y = x Wᵀ: `x` and `y` float32 [rows, in] and [rows, out] with contiguous rows.  W is the
  /// dequantized weight, s·(q − z) rounded once, with the sparse values in their places; on unit
  /// vectors the result is W bit for bit.  A result row depends on its own input row and on whether
  /// it is the only one, to the last bit, and not on the number of threads.
  virtual void multiply(const at::Tensor& x, const at::Tensor& y) const = 0;

  /// Says that until the result is destroyed the weight is multiplied by many batches of up to
  /// `rows` rows each, so that what they have in common is done once and kept.  Null where there is
  /// nothing, or no memory for it; products are allowed all the same.  Throws Error for what a
  /// device reports.
  virtual std::shared_ptr<void> prepare(int64_t /*rows*/) const { return nullptr; }

  /// Memory that it holds.
  virtual int64_t bytes() const = 0;
};

/// A way of multiplying by a quantized weight.
class GemmBackend {
 public:
  virtual ~GemmBackend() = default;

  /// Why this backend cannot run on this machine (no device, too old a driver), or nothing.
  virtual std::optional<std::string> unavailable() const { return std::nullopt; }

  /// Why this backend cannot take such a weight, or nothing.
  virtual std::optional<std::string> unsupported(const WeightShape& weight) const = 0;

  /// Packs `weight`, which has passed QuantizedTensor::check; `sparse` may be null.  Throws
  /// UnsupportedError where `unsupported` has a reason, std::logic_error as SparseWeight::check.
  virtual std::unique_ptr<PackedWeight> pack(const QuantizedTensor& weight,
                                             const SparseWeight* sparse) const = 0;

  /// Products by `weight`, which it takes, to be timed where its operands lie, for a backend that
  /// works on a device of its own; else null.  Throws UnsupportedError as `pack`, and for what only
  /// a timing needs; Error for what the device reports.
  virtual std::unique_ptr<DeviceProducts> on_device(const QuantizedTensor& /*weight*/) const {
    return nullptr;
  }

  /// Whether it multiplies in float32.  Else it rounds activations and weight to 16 bits first, and
  /// what PackedWeight::multiply says of last bits holds for neither.
  virtual bool exact() const { return true; }

  /// Where it comes among those that `auto` tries: the highest that supports a weight is taken.
  virtual int priority() const = 0;
};

/// The backends by name (src/backends).
const Registry<GemmBackend>& backends();

}  // namespace ptq
