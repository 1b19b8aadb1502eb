#include "posix.h"

#include <cerrno>
#include <system_error>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ptq/core/error.h"
#include "ptq/core/system_error.h"
#include "ptq/io/json.h"

namespace ptq {

FileDescriptor::~FileDescriptor() {
  if (fd_ >= 0) ::close(fd_);
}

std::string shown(const std::filesystem::path& path) {
  return in_quotes(path.string());
}

bool path_exists(const std::filesystem::path& path) {
  std::error_code error;
  return std::filesystem::exists(path, error);
}

FileDescriptor open_regular_file(const std::filesystem::path& path, int64_t& size) {
  // O_NONBLOCK: opening a named pipe must not wait for a writer.
  FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file.valid())
    throw ConfigError("cannot open " + shown(path) + ": " + std::generic_category().message(errno));
  struct stat status = {};
  if (::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode))
    throw FormatError(shown(path) + " is not a regular file");
  size = status.st_size;
  return file;
}

void throw_write_error(const std::string& action, const std::filesystem::path& path, int error) {
  const std::string message =
      "cannot " + action + " " + shown(path) + ": " + std::generic_category().message(error);
  if (is_lack_of_resources(error))
    throw ResourceError(message, "free disk space or name another output place");
  throw ConfigError(message);
}

void sync_directory(const std::filesystem::path& directory) {
  const std::filesystem::path place = directory.empty() ? "." : directory;
  const FileDescriptor descriptor(::open(place.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!descriptor.valid()) throw_write_error("open", place, errno);
  // Some network file systems cannot sync a directory; there the rename alone must do.
  if (::fsync(descriptor.get()) != 0 && errno != EINVAL && errno != ENOTSUP)
    throw_write_error("sync", place, errno);
}

void remove_tree(const std::filesystem::path& path) {
  std::error_code error;
  std::filesystem::remove_all(path, error);
  if (error) throw_write_error("remove", path, error.value());
}

void rename_durably(const std::filesystem::path& from, const std::filesystem::path& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) throw_write_error("rename to", to, errno);
  sync_directory(to.parent_path());
}

}  // namespace ptq
