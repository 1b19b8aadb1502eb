#pragma once
#include <map>
#include <memory>
#include <mutex>

#include "cuda/number.h"
#include "cuda/w4a16_api.h"
#include "ptq/backends/device_products.h"

namespace ptq::backend {

constexpr char kOtherThanCuda[] = "use --backend cpu";  // takes every 4-bit weight

/// A device of the module of CUDA kernels.  A context takes one call at a time, which the methods
/// see to; they throw as cuda::check_status.
class CudaDevice {
 public:
  CudaDevice(const W4a16Api& api, int index);
  ~CudaDevice();
  CudaDevice(const CudaDevice&) = delete;
  CudaDevice& operator=(const CudaDevice&) = delete;

  W4a16Layer* upload(const W4a16Weight& weight);
  /// Whether there was memory for it.
  bool prepare(W4a16Layer* layer, int64_t rows, W4a16Path path);
  void forget(W4a16Layer* layer);
  void release(W4a16Layer* layer);
  int64_t bytes(const W4a16Layer* layer);
  void multiply(const W4a16Layer* layer, const W4a16Product& product);
  void time(W4a16Timing& timing);
  /// Measured at the first call for a format.
  DeviceRates rates(cuda::Number number);

 private:
  void check(int32_t status) const;

  const W4a16Api& api_;
  W4a16Context* context_ = nullptr;
  std::mutex mutex_;
  std::map<cuda::Number, DeviceRates> rates_;
};

/// A weight on a device, which keeps it dequantized while anybody holds it so.
class CudaLayer {
 public:
  CudaLayer(std::shared_ptr<CudaDevice> device, const W4a16Weight& weight);
  ~CudaLayer();
  CudaLayer(const CudaLayer&) = delete;
  CudaLayer& operator=(const CudaLayer&) = delete;

  /// Whether there was memory for it; let_go() must follow then.  Counted and not left to a weak
  /// pointer: one who comes between another's last breath and its let_go() must not lose the
  /// weight.
  bool hold(int64_t rows, W4a16Path path);
  void let_go();
  void multiply(const W4a16Product& product) const { device_->multiply(layer_, product); }
  int64_t bytes() const { return device_->bytes(layer_); }
  const W4a16Layer* get() const { return layer_; }

 private:
  std::shared_ptr<CudaDevice> device_;
  W4a16Layer* layer_;
  std::mutex mutex_;
  int holders_ = 0;
};

}  // namespace ptq::backend
