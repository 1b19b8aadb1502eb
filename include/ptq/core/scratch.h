#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>

namespace ptq {

/// Memory for intermediate results that one thread keeps from call to call, because fresh pages
/// cost more than the arithmetic on them.
class Scratch {
 public:
  /// At least `count` floats on a cache line, valid until the next call; not initialized.
  float* floats(int64_t count) {
    if (count > capacity_) {
      memory_.reset();
      memory_ = std::make_unique<float[]>(static_cast<size_t>(count) + kLine);
      capacity_ = count;
    }
    void* begin = memory_.get();
    size_t space = (static_cast<size_t>(capacity_) + kLine) * sizeof(float);
    return static_cast<float*>(std::align(kLine * sizeof(float), 1, begin, space));
  }

 private:
  static constexpr size_t kLine = 16;
  std::unique_ptr<float[]> memory_;
  int64_t capacity_ = 0;
};

}  // namespace ptq
