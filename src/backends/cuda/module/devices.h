#pragma once
#include <vector>

namespace ptq::cuda {

/// The device's compute capability, 10 · major + minor.  Throws Failure unless it can run the
/// kernels.
int check_device(int device);

/// The indices of those that can, at least one; throws Failure if there is none, saying why.
std::vector<int> able_devices();

}  // namespace ptq::cuda
