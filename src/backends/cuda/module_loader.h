#pragma once
#include <string>

#include "w4a16_api.h"

namespace ptq::cuda {

/// The module libptq_cuda, or why it cannot be used.
struct CudaModule {
  const W4a16Api* api = nullptr;  ///< null if there is a reason
  std::string reason;
  int devices = 0;
};

/// Opens the module at the first call and asks it for devices.  It is looked for at
/// PTQ_CUDA_MODULE, if that is set and not empty, else in the folder ../lib of the program and
/// among the system's libraries.
const CudaModule& cuda_module();

/// As cuda_module, afresh and from `path` only.  What it opened stays open.
CudaModule open_cuda_module(const std::string& path);

}  // namespace ptq::cuda
