#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>

namespace ptq {

/// Owns a file descriptor.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) : fd_(fd) {}
  ~FileDescriptor();
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

/// `path` in double quotes.
std::string shown(const std::filesystem::path& path);

/// Whether anything is at `path`, symbolic links followed; never throws.
bool path_exists(const std::filesystem::path& path);

/// Opens a regular file for reading; `size` receives its bytes.  Throws ConfigError if it cannot be
/// opened, FormatError if it is not a regular file.
FileDescriptor open_regular_file(const std::filesystem::path& path, int64_t& size);

/// Throws ResourceError if the error code `error` says that the disk or a quota is full or broken,
/// else ConfigError; the message starts with "cannot " + `action`.
[[noreturn]] void throw_write_error(const std::string& action, const std::filesystem::path& path,
                                    int error);

/// Writes the directory's entries to the disk, so that a rename in it survives a crash.
void sync_directory(const std::filesystem::path& directory);

/// Removes `path` with all it holds, if it is there.  Throws as throw_write_error.
void remove_tree(const std::filesystem::path& path);

/// Renames `from` to `to` in one step and makes it durable.
void rename_durably(const std::filesystem::path& from, const std::filesystem::path& to);

}  // namespace ptq
