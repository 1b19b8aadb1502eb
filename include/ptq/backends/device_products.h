#pragma once
#include <cstdint>
#include <string>

namespace ptq {

/// What a backend's device does at best, measured on it.
struct DeviceRates {
  std::string device;                  ///< its name
  int64_t cache_bytes = 0;             ///< of the last level
  double copy_bytes_per_second = 0.0;  ///< copying in its memory; bytes read and written count
  std::string dense;              ///< the dense product: library and format, "cuBLASLt float16"
  double flops_per_second = 0.0;  ///< that product's, of large square matrices of random values
};

/// How products reach a device.
enum class Launch {
  kPlain,  ///< each by calls of its own
  kGraph,  ///< recorded once and started together
};

/// Medians over products that follow each other without waiting.
struct DeviceTiming {
  double seconds = 0.0;        ///< of a product by the packed weight
  double dense_seconds = 0.0;  ///< of the dense product of the same shape, x and y
  double bytes = 0.0;          ///< packed weight, x and y as they lie on the device
};

/// Products by one quantized weight whose operands lie on a backend's device: a timing holds no
/// copies from or to the host.
class DeviceProducts {
 public:
  virtual ~DeviceProducts() = default;

  /// The device with numbers of the weight's format; measured before the first timing.
  virtual const DeviceRates& rates() const = 0;

  /// Times products of `rows` rows and as many dense ones, for `seconds` each and in turns; weights
  /// and operands rotate as rotating_copies says.  Throws Error for what the device reports.
  virtual DeviceTiming time(int64_t rows, Launch launch, double seconds) const = 0;
};

}  // namespace ptq
