#pragma once
#include <cstddef>
#include <utility>
#include <vector>

#include "failure.h"

namespace ptq::cuda {

/// Device memory with an owner.
class DeviceBuffer {
 public:
  DeviceBuffer() = default;
  DeviceBuffer(DeviceBuffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  DeviceBuffer& operator=(DeviceBuffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~DeviceBuffer() { cudaFree(data_); }

  /// At least `bytes`; what was in it is lost when it grows.  Throws Failure.
  template <class Element>
  Element* reserve(size_t count) {
    const size_t bytes = count * sizeof(Element);
    if (bytes > bytes_) {
      // Kernels in flight may still use the old memory: cudaFree waits for them.
      cudaFree(std::exchange(data_, nullptr));
      bytes_ = 0;
      check(cudaMalloc(&data_, bytes), "allocating device memory");
      bytes_ = bytes;
    }
    return static_cast<Element*>(data_);
  }

  /// A copy of `count` elements of host memory; null stays null.  Throws Failure.
  template <class Element>
  const Element* upload(const Element* from, size_t count) {
    if (from == nullptr) return nullptr;
    Element* to = reserve<Element>(count);
    check(cudaMemcpy(to, from, count * sizeof(Element), cudaMemcpyHostToDevice),
          "copying to the device");
    return to;
  }

  void clear() {
    cudaFree(std::exchange(data_, nullptr));
    bytes_ = 0;
  }
  template <class Element>
  const Element* data() const {
    return static_cast<const Element*>(data_);
  }
  size_t bytes() const { return bytes_; }

 private:
  void* data_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace ptq::cuda
