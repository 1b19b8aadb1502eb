#pragma once

namespace ptq {

/// The tool's version, "major.minor.patch".
const char* version();

}  // namespace ptq
