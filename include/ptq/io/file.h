#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace ptq {

/// The whole content of a regular file.  Throws ConfigError if it cannot be opened, FormatError if
/// it is not a regular file or is larger than `limit_bytes`.
std::string read_text_file(const std::filesystem::path& path,
                           int64_t limit_bytes = int64_t{1} << 30);

/// Replaces the file by `content` through a temporary file beside it, fsync and rename, so that
/// `path` holds the old or the new content after a crash, never a part.  Throws ResourceError when
/// the disk is full, ConfigError when the place is not writable.
void write_file_atomically(const std::filesystem::path& path, std::string_view content);

/// The normal form of a directory's path, to which a suffix may be added: a separator at its end
/// would put the sibling inside.
std::filesystem::path without_trailing_separator(const std::filesystem::path& path);

/// Bytes of all files in `directory` and below it, each once whatever names it has; 0 if there is
/// none.
int64_t bytes_in(const std::filesystem::path& directory);

/// Throws ResourceError unless the file system of `path` (or of its nearest existing parent) has
/// `bytes` free.
void require_disk_space(const std::filesystem::path& path, int64_t bytes);

}  // namespace ptq
