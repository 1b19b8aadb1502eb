#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "w4a16_api.h"

namespace ptq::cuda {

/// The module libptq_cuda, or why it cannot be used.
struct CudaModule {
  const W4a16Api* api = nullptr;  ///< null if there is a reason
  std::string reason;
  int devices = 0;       ///< that can run the kernels
  int first_device = 0;  ///< index of the first of them
};

/// Opens the module at the first call and asks it for devices.  It is looked for at
/// PTQ_CUDA_MODULE, if that is set and not empty, else at module_places of the program and among
/// the system's libraries.
const CudaModule& cuda_module();

/// As cuda_module, afresh and from `path` only.  What it opened stays open.
CudaModule open_cuda_module(const std::string& path);

/// Throws what `status` stands for, unless that is success, with `where` before the module's text:
/// ResourceError for memory, UnsupportedError for a device that cannot be used, both with `hint`,
/// std::logic_error for a bad argument, else Error.
void check_status(const W4a16Api& api, int32_t status, const std::string& where,
                  const std::string& hint);

/// Where the module of `program` may lie: in ../lib and in `library_folder` beside the program's
/// folder (a build, an installation that was moved), and in `full_library_folder` (the installation
/// that the build was configured for).
std::vector<std::filesystem::path> module_places(const std::filesystem::path& program,
                                                 const std::filesystem::path& library_folder,
                                                 const std::filesystem::path& full_library_folder);

}  // namespace ptq::cuda
