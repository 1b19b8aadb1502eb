#pragma once
#include <memory>
#include <vector>

#include "cuda/host_weight.h"
#include "cuda_device.h"

namespace ptq::backend {

/// How products are computed.
struct ProductSettings {
  W4a16Path path = kW4a16Auto;
  bool tune = false;
};

/// Copies of a weight on a device, to be timed there.
class CudaProducts : public DeviceProducts {
 public:
  /// Measures the device unless that was done; throws as cuda::check_status.
  CudaProducts(const std::shared_ptr<CudaDevice>& device, const cuda::HostWeight& weight,
               const ProductSettings& settings);

  const DeviceRates& rates() const override { return rates_; }
  DeviceTiming time(int64_t rows, Launch launch, double seconds) const override;

 private:
  std::shared_ptr<CudaDevice> device_;
  ProductSettings settings_;
  int64_t inputs_, outputs_;
  DeviceRates rates_;
  std::vector<std::unique_ptr<CudaLayer>> copies_;  ///< at least one
};

}  // namespace ptq::backend
