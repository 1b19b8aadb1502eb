#pragma once
#include <algorithm>
#include <cstdint>
#include <memory>

#include <c10/core/Allocator.h>
#include <c10/util/ThreadLocalDebugInfo.h>

namespace ptq::test {

/// Counts the bytes of the CPU tensors that this thread allocates and frees while the meter lives.
class AllocationMeter {
 public:
  /// The most bytes that were held at once.
  int64_t peak_bytes() const { return counter_->peak; }

 private:
  /// The type of a total: int64_t in old releases of LibTorch, size_t in new ones.
  template <class Total>
  static Total total_of(void (c10::MemoryReportingInfoBase::*)(void*, int64_t, Total, Total,
                                                               c10::Device));
  using Total = decltype(total_of(&c10::MemoryReportingInfoBase::reportMemoryUsage));

  struct Counter : c10::MemoryReportingInfoBase {
    void reportMemoryUsage(void* /*where*/, int64_t bytes, Total /*allocated*/, Total /*reserved*/,
                           c10::Device device) override {
      if (!device.is_cpu()) return;
      now += bytes;  // negative when freed
      peak = std::max(peak, now);
    }
    bool memoryProfilingEnabled() const override { return true; }
    int64_t now = 0, peak = 0;
  };

  std::shared_ptr<Counter> counter_ = std::make_shared<Counter>();
  c10::DebugInfoGuard guard_{c10::DebugInfoKind::PROFILER_STATE, counter_};
};

}  // namespace ptq::test
