#include "ptq/model/device.h"

#include <ATen/Context.h>
#include <dlfcn.h>

#include "ptq/core/error.h"

namespace ptq {
namespace {

/// LibTorch finds its CUDA part through what that library registers when it is loaded.  It is not
/// linked: the program then starts, and builds, without it.  LibTorch looks once: nothing may have
/// asked it for CUDA before.
std::string load_cuda_library() {
  if (dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL) != nullptr) return {};
  const char* reason = dlerror();
  return reason == nullptr ? "libtorch_cuda.so cannot be loaded" : reason;
}

}  // namespace

at::Device open_device(const std::string& name) {
  if (name == "cpu") return at::kCPU;
  if (name != "cuda") throw ConfigError("there is no device \"" + name + "\"", "known: cpu, cuda");
  const std::string failure = load_cuda_library();
  if (!failure.empty())
    throw UnsupportedError("--device cuda: this LibTorch has no CUDA (" + failure + ")",
                           "build with a LibTorch for CUDA, or leave --device out");
  if (!at::hasCUDA() || at::detail::getCUDAHooks().getNumGPUs() < 1)
    throw UnsupportedError("--device cuda: LibTorch finds no GPU",
                           "check the driver (nvidia-smi), or leave --device out");
  return at::Device(at::kCUDA, 0);
}

}  // namespace ptq
