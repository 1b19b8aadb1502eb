#include "devices.h"

#include <string>

#include "failure.h"

namespace ptq::cuda {
namespace {

constexpr int kOldestMajor = 8;  // cp.async, bfloat16 and m16n8k16

}  // namespace

int check_device(int device) {
  int major = 0, minor = 0;
  check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device),
        "asking for the device");
  check(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device),
        "asking for the device");
  if (major < kOldestMajor) {
    throw Failure(kW4a16Unavailable, "device " + std::to_string(device) +
                                         " has compute capability " + std::to_string(major) + "." +
                                         std::to_string(minor) + ", the kernels need 8.0");
  }
  return 10 * major + minor;
}

std::vector<int> able_devices() {
  int count = 0;
  check(cudaGetDeviceCount(&count), "looking for a device");
  if (count == 0) throw Failure(kW4a16Unavailable, "no CUDA device");
  std::vector<int> able;
  for (int device = 0; device < count; ++device) {
    try {
      check_device(device);
      able.push_back(device);
    } catch (const Failure&) {
      if (count == 1) throw;
    }
  }
  if (able.empty())
    throw Failure(kW4a16Unavailable, "no device of compute capability 8.0 or later");
  return able;
}

}  // namespace ptq::cuda
