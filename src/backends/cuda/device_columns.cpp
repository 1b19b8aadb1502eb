#include "ptq/backends/device_columns.h"

#include "module_loader.h"
#include "ptq/core/error.h"

namespace ptq {
namespace {

constexpr char kWhere[] = "rounding columns on the GPU";
constexpr char kOtherDevice[] = "use --device cpu";

}  // namespace

std::optional<std::string> device_columns_unavailable(int device) {
  const cuda::CudaModule& module = cuda::cuda_module();
  if (module.api == nullptr) return module.reason;
  // Another device of the machine may be new enough; this is the one that has the tensors.
  if (module.api->check_device(device) != kW4a16Ok) return module.api->last_error();
  return std::nullopt;
}

void round_columns_on_device(int device, void* stream, const DeviceColumns& columns) {
  if (const auto reason = device_columns_unavailable(device))
    throw UnsupportedError(std::string(kWhere) + ": " + *reason, kOtherDevice);
  const W4a16Api& api = *cuda::cuda_module().api;
  cuda::check_status(api, api.round_columns(device, stream, &columns), kWhere, kOtherDevice);
}

}  // namespace ptq
