#include "cuda_device.h"

#include "cuda/module_loader.h"

namespace ptq::backend {

CudaDevice::CudaDevice(const W4a16Api& api, int index) : api_(api) {
  check(api.create(index, &context_));
}

CudaDevice::~CudaDevice() {
  api_.destroy(context_);
}

void CudaDevice::check(int32_t status) const {
  cuda::check_status(api_, status, "backend cuda", kOtherThanCuda);
}

W4a16Layer* CudaDevice::upload(const W4a16Weight& weight) {
  const std::lock_guard<std::mutex> lock(mutex_);
  W4a16Layer* layer = nullptr;
  check(api_.upload(context_, &weight, &layer));
  return layer;
}

bool CudaDevice::prepare(W4a16Layer* layer, int64_t rows, W4a16Path path) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const int32_t status = api_.prepare(context_, layer, rows, path);
  if (status != kW4a16OutOfMemory) check(status);
  return status == kW4a16Ok;
}

void CudaDevice::forget(W4a16Layer* layer) {
  const std::lock_guard<std::mutex> lock(mutex_);
  api_.forget(layer);
}

void CudaDevice::release(W4a16Layer* layer) {
  const std::lock_guard<std::mutex> lock(mutex_);
  api_.release(layer);
}

int64_t CudaDevice::bytes(const W4a16Layer* layer) {
  const std::lock_guard<std::mutex> lock(mutex_);
  return api_.layer_bytes(layer);
}

void CudaDevice::multiply(const W4a16Layer* layer, const W4a16Product& product) {
  const std::lock_guard<std::mutex> lock(mutex_);
  check(api_.multiply(context_, layer, &product));
}

void CudaDevice::time(W4a16Timing& timing) {
  const std::lock_guard<std::mutex> lock(mutex_);
  check(api_.time_products(context_, &timing));
}

DeviceRates CudaDevice::rates(cuda::Number number) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = rates_.find(number);
  if (found != rates_.end()) return found->second;
  W4a16Rates measured{};
  check(api_.measure(context_, static_cast<int32_t>(number), &measured));
  const DeviceRates rates{measured.device, measured.cache_bytes, measured.copy_bytes_per_second,
                          number == cuda::Number::kFp16 ? "cuBLASLt float16" : "cuBLASLt bfloat16",
                          measured.flops_per_second};
  return rates_.emplace(number, rates).first->second;
}

CudaLayer::CudaLayer(std::shared_ptr<CudaDevice> device, const W4a16Weight& weight)
    : device_(std::move(device)), layer_(device_->upload(weight)) {}

CudaLayer::~CudaLayer() {
  device_->release(layer_);
}

bool CudaLayer::hold(int64_t rows, W4a16Path path) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const bool held = device_->prepare(layer_, rows, path);
  if (held) ++holders_;
  return held;
}

void CudaLayer::let_go() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (--holders_ == 0) device_->forget(layer_);
}

}  // namespace ptq::backend
