#include "cuda_products.h"

#include "ptq/backends/rotation.h"

namespace ptq::backend {

CudaProducts::CudaProducts(const std::shared_ptr<CudaDevice>& device,
                           const cuda::HostWeight& weight, const ProductSettings& settings)
    : device_(device),
      settings_(settings),
      inputs_(weight.k),
      outputs_(weight.n),
      rates_(device->rates(weight.number)) {
  const W4a16Weight view = view_of(weight);
  copies_.push_back(std::make_unique<CudaLayer>(device, view));
  const auto bytes = static_cast<double>(copies_[0]->bytes());
  for (int64_t left = rotating_copies(bytes, rates_.cache_bytes) - 1; left > 0; --left)
    copies_.push_back(std::make_unique<CudaLayer>(device, view));
}

DeviceTiming CudaProducts::time(int64_t rows, Launch launch, double seconds) const {
  std::vector<const W4a16Layer*> layers;
  for (const auto& copy : copies_)
    layers.push_back(copy->get());
  W4a16Timing timing{};
  timing.layers = layers.data();
  timing.count = static_cast<int64_t>(layers.size());
  timing.m = rows;
  timing.path = settings_.path;
  timing.tune = settings_.tune ? 1 : 0;
  timing.graph = launch == Launch::kGraph ? 1 : 0;
  timing.seconds = seconds;
  device_->time(timing);
  constexpr double kValueBytes = 2;  // x and y are in the weight's format
  const double values = static_cast<double>(rows) * static_cast<double>(inputs_ + outputs_);
  return {timing.packed_seconds, timing.dense_seconds,
          static_cast<double>(copies_[0]->bytes()) + kValueBytes * values};
}

}  // namespace ptq::backend
