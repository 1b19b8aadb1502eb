#pragma once
#include <cstdint>
#include <filesystem>

namespace ptq {

/// The largest resident set this process had so far, in bytes (file pages included).
int64_t peak_rss_bytes();

/// Memory this process may use, in bytes: the machine's, or less where a cgroup limits it.
int64_t physical_memory_bytes();

/// Free bytes for an ordinary user on the file system of `path` or of its nearest existing parent.
/// Throws ConfigError if that cannot be asked.
int64_t available_disk_bytes(const std::filesystem::path& path);

}  // namespace ptq
