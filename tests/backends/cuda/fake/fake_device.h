#pragma once
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

// A device with a clock and no memory behind its addresses, on which the host code of libptq_cuda
// runs in place of CUDA's run-time library, its kernels and cuBLASLt: what it queues, allocates and
// waits for is seen; nothing is computed.  One stream.
namespace ptq::cuda::fake {

constexpr int kProcessors = 16;
constexpr int kCacheBytes = 1 << 20;
constexpr double kBandwidth = 1e12;      ///< bytes a second, read and written
constexpr double kMatrixRate = 1e12;     ///< operations a second of cuBLASLt
constexpr double kLaunchSeconds = 4e-6;  ///< of the host's time, for anything that is queued
constexpr double kSmallSeconds = 1e-6;   ///< of kernel S
constexpr double kDequantizeSeconds = 9e-6;

/// Work in a stream or a graph.
struct Work {
  std::string name;
  double seconds = 0;
};

/// What the functions of the library and the kernels tell it.
class Device {
 public:
  /// Work is queued at the host's time and done after what was queued before; while a graph is
  /// recorded it is kept there.
  void queue(const Work& work);
  /// What may not happen while a graph is recorded, allocating and waiting, spoils it.
  bool forbidden_while_recording();
  /// The host's clock becomes the device's.
  void wait(double until);

  double host_seconds = 0, device_seconds = 0;
  bool recording = false, spoilt = false;
  std::vector<Work> recorded;
  int graphs = 0;                        ///< that nobody destroyed
  std::map<uintptr_t, size_t> memory;    ///< that nobody freed: bytes by address
  std::map<std::string, int64_t> count;  ///< of work done, by name
  std::string failing;                   ///< work of this name fails while a graph is recorded
  bool has_blas = true;
  std::set<const void*> weights, inputs, outputs;  ///< of kernel S
  std::set<const void*> dense_weights;             ///< of cuBLASLt
};

/// The only one.
Device& device();

}  // namespace ptq::cuda::fake
