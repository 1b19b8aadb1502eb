// 4-bit weights on an NVIDIA GPU through the module libptq_cuda (docs/cuda.md).  Activations are
// rounded to the weight's 16-bit format on the device.
#include <algorithm>
#include <memory>
#include <mutex>

#include <ATen/ATen.h>

#include "cuda/host_weight.h"
#include "cuda/module_loader.h"
#include "cuda_products.h"
#include "ptq/backends/backend.h"
#include "ptq/core/error.h"

namespace ptq::backend {
namespace {

using cuda::HostWeight;

class CudaWeight : public PackedWeight {
 public:
  CudaWeight(std::shared_ptr<CudaDevice> device, const HostWeight& weight,
             const ProductSettings& settings)
      : settings_(settings),
        number_(weight.number),
        layer_(std::make_shared<CudaLayer>(std::move(device), view_of(weight))) {}

  void multiply(const at::Tensor& x, const at::Tensor& y) const override {
    check_range(x);
    W4a16Product product{};
    product.x = x.data_ptr<float>();
    product.y = y.data_ptr<float>();
    product.m = x.size(0);
    product.x_stride = x.stride(0);
    product.y_stride = y.stride(0);
    product.x_is_float = product.y_is_float = product.on_host = 1;
    product.path = settings_.path;
    product.tune = settings_.tune ? 1 : 0;
    layer_->multiply(product);
  }

  std::shared_ptr<void> prepare(int64_t rows) const override {
    if (!layer_->hold(rows, settings_.path)) return nullptr;
    return {layer_.get(), [layer = layer_](void*) { layer->let_go(); }};
  }

  int64_t bytes() const override { return layer_->bytes(); }

 private:
  /// Throws NumericalError for what would become infinite on the device.
  void check_range(const at::Tensor& x) const {
    for (int64_t row = 0; row < x.size(0); ++row) {
      const float* values = x.data_ptr<float>() + row * x.stride(0);
      const float* end = values + x.size(1);
      const auto too_large = [this](float value) { return cuda::is_too_large(number_, value); };
      // Counting goes by whole registers, where a search would look at each value.
      if (std::count_if(values, end, too_large) == 0) continue;
      const float* found = std::find_if(values, end, too_large);
      throw NumericalError("backend cuda: the activation " + std::to_string(*found) + " of row " +
                               std::to_string(row) + ", input " + std::to_string(found - values) +
                               " is beyond the largest number of the weight's format, " +
                               (number_ == cuda::Number::kFp16 ? "float16" : "bfloat16"),
                           kOtherThanCuda);
    }
  }

  ProductSettings settings_;
  cuda::Number number_;
  std::shared_ptr<CudaLayer> layer_;
};

class Cuda : public GemmBackend {
 public:
  explicit Cuda(const ProductSettings& settings) : settings_(settings) {}

  std::optional<std::string> unavailable() const override {
    const cuda::CudaModule& module = cuda::cuda_module();
    if (module.api != nullptr) return std::nullopt;
    return module.reason;
  }

  std::optional<std::string> unsupported(const WeightShape& weight) const override {
    if (weight.scheme.lookup) return "the CUDA kernels take grids, no lookup tables";
    if (weight.scheme.bits != 4) {
      return "the CUDA kernels take 4 bits, not " + std::to_string(weight.scheme.bits);
    }
    return cuda::unsupported_group(weight.scheme.group_size);
  }

  std::unique_ptr<PackedWeight> pack(const QuantizedTensor& weight,
                                     const SparseWeight* sparse) const override {
    return std::make_unique<CudaWeight>(device(), host_weight(weight, sparse), settings_);
  }

  std::unique_ptr<DeviceProducts> on_device(const QuantizedTensor& weight) const override {
    return std::make_unique<CudaProducts>(device(), host_weight(weight, nullptr), settings_);
  }

  bool exact() const override { return false; }
  // Below cpu, which takes every 4-bit weight: `auto` does not give up float32 arithmetic unasked,
  // and activations that are handed over for every product make small models slower.
  int priority() const override { return 5; }

 private:
  HostWeight host_weight(const QuantizedTensor& weight, const SparseWeight* sparse) const;

  std::shared_ptr<CudaDevice> device() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (const auto reason = unavailable())
      throw UnsupportedError("backend cuda: " + *reason, kOtherThanCuda);
    const cuda::CudaModule& module = cuda::cuda_module();
    if (device_ == nullptr)
      device_ = std::make_shared<CudaDevice>(*module.api, module.first_device);
    return device_;
  }

  ProductSettings settings_;
  mutable std::mutex mutex_;
  mutable std::shared_ptr<CudaDevice> device_;  ///< made when the first weight is packed
};

HostWeight Cuda::host_weight(const QuantizedTensor& weight, const SparseWeight* sparse) const {
  if (const auto reason = unsupported({weight.scheme, 0, 0, false, false})) {
    throw UnsupportedError("backend cuda: " + *reason,
                           weight.scheme.bits == 4 ? kOtherThanCuda : "use --backend reference");
  }
  if (sparse != nullptr) sparse->check(weight.out_features(), weight.in_features());
  const QuantizedTensor c{weight.q.contiguous(), weight.scale.contiguous(),
                          weight.zero.contiguous(), weight.group_of.contiguous(), weight.scheme};
  cuda::WeightArrays arrays;
  arrays.out = c.out_features();
  arrays.in = c.in_features();
  arrays.groups = c.scale.size(1);
  arrays.group_size = c.scheme.group_size;
  arrays.codes = c.q.data_ptr<uint8_t>();
  arrays.scales = c.scale.data_ptr<float>();
  arrays.zeros = c.scheme.symmetric ? nullptr : c.zero.data_ptr<uint8_t>();
  arrays.group_of = c.group_of.data_ptr<int32_t>();
  if (sparse != nullptr && sparse->count() > 0) {
    arrays.row_begin = sparse->row_begin.data_ptr<int32_t>();
    arrays.columns = sparse->columns.data_ptr<int32_t>();
    arrays.values = sparse->values.data_ptr<float>();
  }
  const std::optional<cuda::Number> number = cuda::exact_number(arrays);
  if (!number) {
    throw UnsupportedError("backend cuda: neither float16 nor bfloat16 holds every scale exactly",
                           kOtherThanCuda);
  }
  return cuda::pack(arrays, *number);
}

}  // namespace

std::unique_ptr<GemmBackend> cuda(Options& options) {
  ProductSettings settings;
  const std::string path = options.get_choice(
      "path", "auto", {"auto", "fused", "dequantize"},
      "fused: packed weights, for few rows; dequantize: cuBLASLt, for many; auto: by the number of "
      "rows");
  if (path == "fused") settings.path = kW4a16Small;
  if (path == "dequantize") settings.path = kW4a16Large;
  settings.tune =
      options.get("tune", false,
                  "time cuBLASLt's algorithms once for each shape and take the fastest: "
                  "last bits may then differ from run to run");
  return std::make_unique<Cuda>(settings);
}

}  // namespace ptq::backend
