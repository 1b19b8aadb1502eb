// Weights of 4-bit grids and of lookup tables on any processor: codes stream from memory once for a
// few rows, and are dequantized into panels that stay in cache for many (docs/backends.md).
#include "cpu_weight.h"
#include "lookup_weight.h"
#include "ptq/core/error.h"

namespace ptq::backend {
namespace {

class Cpu : public GemmBackend {
 public:
  std::optional<std::string> unsupported(const WeightShape& weight) const override {
    if (weight.scheme.bits != 4 && !weight.scheme.lookup)
      return "the kernels read 4-bit codes, not " + std::to_string(weight.scheme.bits) +
             "-bit ones";
    return std::nullopt;
  }

  std::unique_ptr<PackedWeight> pack(const QuantizedTensor& weight,
                                     const SparseWeight* sparse) const override {
    if (const auto reason = unsupported(shape_of(weight, sparse)))
      throw UnsupportedError("backend cpu: " + *reason);
    if (sparse != nullptr) sparse->check(weight.out_features(), weight.in_features());
    if (weight.scheme.lookup) return std::make_unique<LookupWeight>(weight, sparse);
    return std::make_unique<CpuWeight>(weight, sparse);
  }

  int priority() const override { return 10; }
};

}  // namespace

std::unique_ptr<GemmBackend> cpu(Options& /*options*/) {
  return std::make_unique<Cpu>();
}

}  // namespace ptq::backend
