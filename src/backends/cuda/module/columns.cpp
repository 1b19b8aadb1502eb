#include "columns.h"

#include <string>

#include "devices.h"
#include "failure.h"
#include "launch.h"

namespace ptq::cuda {
namespace {

/// Selects a device for as long as it lives: the caller's thread may work with another.
class SelectedDevice {
 public:
  explicit SelectedDevice(int device) {
    check(cudaGetDevice(&before_), "asking for the device");
    check(cudaSetDevice(device), "selecting the device");
  }
  ~SelectedDevice() { cudaSetDevice(before_); }
  SelectedDevice(const SelectedDevice&) = delete;
  SelectedDevice& operator=(const SelectedDevice&) = delete;

 private:
  int before_ = 0;
};

}  // namespace

void round_columns(int device, cudaStream_t stream, const DeviceColumns& columns) {
  if (columns.count < 1 || columns.count > DeviceColumns::kMost || columns.first < 0 ||
      columns.first + columns.count > columns.in || columns.rows < 0 || columns.groups < 1) {
    throw Failure(kW4a16BadArgument,
                  "columns " + std::to_string(columns.first) + " and on, " +
                      std::to_string(columns.count) + " of " + std::to_string(columns.in) +
                      ", of " + std::to_string(columns.rows) + " rows cannot be rounded at once");
  }
  check_device(device);
  if (columns.rows == 0) return;
  const SelectedDevice selected(device);
  launch_round_columns(columns, stream);
}

}  // namespace ptq::cuda
