#pragma once

namespace ptq {

/// Whether the system's error number `error` says that a disk, a quota or the memory is full or
/// broken; such a fault ends with ResourceError's exit code.
bool is_lack_of_resources(int error) noexcept;

}  // namespace ptq
