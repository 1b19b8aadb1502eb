#pragma once

namespace ptq {

/// The tool's version, "major.minor.patch".
const char* version();

/// The version of LibTorch that this was built with, "1.13.1".
const char* libtorch_version();

}  // namespace ptq
