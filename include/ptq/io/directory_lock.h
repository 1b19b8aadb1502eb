#pragma once
#include <filesystem>
#include <memory>

namespace ptq {

/// An advisory lock on a directory against a second run that works in it; the system frees it when
/// the process ends, however it ends.
class DirectoryLock {
 public:
  /// Locks `directory` without waiting: throws ConfigError if another lock is on it or it was moved
  /// meanwhile, and as write_safetensors if it cannot be opened.  On a file system without locks it
  /// succeeds.
  explicit DirectoryLock(const std::filesystem::path& directory);
  ~DirectoryLock();
  DirectoryLock(DirectoryLock&&) noexcept;
  DirectoryLock& operator=(DirectoryLock&&) noexcept;

 private:
  struct Descriptor;
  std::unique_ptr<Descriptor> descriptor_;
};

}  // namespace ptq
