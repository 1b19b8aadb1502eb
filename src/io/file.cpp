#include "ptq/io/file.h"

#include <algorithm>
#include <cerrno>
#include <set>
#include <system_error>
#include <utility>

#include <sys/stat.h>
#include <unistd.h>

#include "atomic_file.h"
#include "posix.h"
#include "ptq/core/error.h"
#include "ptq/io/memory.h"

namespace ptq {

std::string read_text_file(const std::filesystem::path& path, int64_t limit_bytes) {
  int64_t size = 0;
  const FileDescriptor file = open_regular_file(path, size);
  if (size > limit_bytes)
    throw FormatError(shown(path) + " has " + std::to_string(size) + " bytes, more than the " +
                      std::to_string(limit_bytes) + " allowed");
  std::string content(static_cast<size_t>(size), '\0');
  size_t done = 0;
  while (done < content.size()) {
    const ssize_t count = ::read(file.get(), content.data() + done, content.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0)
      throw ConfigError("cannot read " + shown(path) + ": " +
                        std::generic_category().message(errno));
    if (count == 0) break;
    done += static_cast<size_t>(count);
  }
  content.resize(done);
  return content;
}

void write_file_atomically(const std::filesystem::path& path, std::string_view content) {
  AtomicFile file(path);
  file.write(content);
  file.commit();
}

std::filesystem::path without_trailing_separator(const std::filesystem::path& path) {
  const std::filesystem::path normal = path.lexically_normal();
  return normal.has_filename() ? normal : normal.parent_path();
}

int64_t bytes_in(const std::filesystem::path& directory) {
  int64_t bytes = 0;
  std::set<std::pair<dev_t, ino_t>> counted;
  std::error_code error;  // what cannot be looked at counts nothing
  for (std::filesystem::recursive_directory_iterator entry(directory, error), end;
       !error && entry != end; entry.increment(error)) {
    struct stat status {};
    if (::lstat(entry->path().c_str(), &status) != 0 || !S_ISREG(status.st_mode)) continue;
    if (counted.emplace(status.st_dev, status.st_ino).second) bytes += status.st_size;
  }
  return bytes;
}

void require_disk_space(const std::filesystem::path& path, int64_t bytes) {
  const int64_t free_bytes = available_disk_bytes(path);
  if (free_bytes < bytes)
    throw ResourceError("writing to " + shown(path) + " needs " + std::to_string(bytes) +
                            " bytes, but only " + std::to_string(free_bytes) + " are free",
                        "free disk space or name another output place");
}

}  // namespace ptq
