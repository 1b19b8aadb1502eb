#pragma once
#include <string>

#include <c10/core/Device.h>

namespace ptq {

/// The device that LibTorch computes on for `name`: "cpu", or "cuda" for the first GPU.  Loads
/// LibTorch's CUDA library, which nothing else needs; call it before any other work.  Throws
/// UnsupportedError saying why a GPU cannot be used: a LibTorch without CUDA, or no device that its
/// driver gives access to; ConfigError for another name.
at::Device open_device(const std::string& name);

}  // namespace ptq
