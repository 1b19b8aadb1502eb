#include "ptq/io/directory_lock.h"

#include <cerrno>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "posix.h"
#include "ptq/core/error.h"

namespace ptq {

struct DirectoryLock::Descriptor {
  FileDescriptor file;
};

DirectoryLock::DirectoryLock(const std::filesystem::path& directory)
    : descriptor_(std::make_unique<Descriptor>()) {
  descriptor_->file = FileDescriptor(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!descriptor_->file.valid()) throw_write_error("open", directory, errno);
  // A file system without locks must not stop the run.
  if (::flock(descriptor_->file.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
    throw ConfigError("another run is writing to " + shown(directory));
  // Between opening and locking the run before may have given the directory its final name.
  struct stat locked = {}, named = {};
  if (::fstat(descriptor_->file.get(), &locked) != 0 || ::stat(directory.c_str(), &named) != 0 ||
      locked.st_dev != named.st_dev || locked.st_ino != named.st_ino)
    throw ConfigError("another run has just finished in " + shown(directory));
}

DirectoryLock::~DirectoryLock() = default;
DirectoryLock::DirectoryLock(DirectoryLock&&) noexcept = default;
DirectoryLock& DirectoryLock::operator=(DirectoryLock&&) noexcept = default;

}  // namespace ptq
