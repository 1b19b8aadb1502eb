#include "module_loader.h"

#include <cstdlib>
#include <stdexcept>

#include <dlfcn.h>

#include "ptq/core/error.h"

namespace ptq::cuda {
namespace {

namespace fs = std::filesystem;

constexpr char kFileName[] = "libptq_cuda.so";

CudaModule refused(std::string reason) {
  return {nullptr, std::move(reason), 0, 0};
}

// A file of the program's own installation or build, else the name alone for the system's search.
std::string default_path() {
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  if (error) return kFileName;  // not from the current directory
  for (const fs::path& place : module_places(program, PTQ_LIBRARY_FOLDER, PTQ_FULL_LIBRARY_FOLDER))
    if (fs::exists(place, error)) return place.string();
  return kFileName;
}

}  // namespace

std::vector<fs::path> module_places(const fs::path& program, const fs::path& library_folder,
                                    const fs::path& full_library_folder) {
  const fs::path prefix = program.parent_path().parent_path();
  return {prefix / "lib" / kFileName, prefix / library_folder / kFileName,
          full_library_folder / kFileName};
}

CudaModule open_cuda_module(const std::string& path) {
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* error = dlerror();
    return refused("the CUDA kernels cannot be loaded: " +
                   std::string(error == nullptr ? path : error));
  }
  using Entry = const W4a16Api* (*)();
  const auto entry = reinterpret_cast<Entry>(dlsym(library, "ptq_w4a16_api"));
  if (entry == nullptr) return refused(path + " is not a module of CUDA kernels");
  const W4a16Api* api = entry();
  if (api->version != kW4a16Version) {
    return refused(path + " has version " + std::to_string(api->version) + ", this program needs " +
                   std::to_string(kW4a16Version));
  }
  CudaModule module{api, "", 0, 0};
  if (api->find_devices(&module.devices, &module.first_device) != kW4a16Ok)
    return refused(api->last_error());
  return module;
}

void check_status(const W4a16Api& api, int32_t status, const std::string& where,
                  const std::string& hint) {
  if (status == kW4a16Ok) return;
  const std::string text = where + ": " + api.last_error();
  if (status == kW4a16OutOfMemory) throw ResourceError(text, hint);
  if (status == kW4a16Unavailable) throw UnsupportedError(text, hint);
  if (status == kW4a16BadArgument) throw std::logic_error(text);
  throw Error(text);
}

const CudaModule& cuda_module() {
  static const CudaModule kModule = [] {
    const char* path = std::getenv("PTQ_CUDA_MODULE");
    return open_cuda_module(path != nullptr && *path != '\0' ? path : default_path());
  }();
  return kModule;
}

}  // namespace ptq::cuda
