#include "atomic_file.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

namespace ptq {

AtomicFile::AtomicFile(std::filesystem::path path)
    : path_(std::move(path)), temporary_(path_.string() + ".tmp") {
  file_ = FileDescriptor(
      ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666));
  if (!file_.valid()) throw_write_error("create", temporary_, errno);
}

AtomicFile::~AtomicFile() {
  if (!committed_ && file_.valid()) ::unlink(temporary_.c_str());
}

void AtomicFile::write(const void* data, size_t size) {
  // One write takes at most 2 GiB - 4 KiB on Linux.
  constexpr size_t kPiece = size_t{1} << 30;
  const char* next = static_cast<const char*>(data);
  while (size > 0) {
    const ssize_t written = ::write(file_.get(), next, std::min(size, kPiece));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) throw_write_error("write", path_, errno);
    next += written;
    size -= static_cast<size_t>(written);
  }
}

void AtomicFile::commit() {
  if (::fsync(file_.get()) != 0) throw_write_error("sync", path_, errno);
  rename_durably(temporary_, path_);
  committed_ = true;
}

}  // namespace ptq
