#pragma once
#include <cstddef>
#include <filesystem>
#include <string_view>

#include "posix.h"

namespace ptq {

/// A file being written under a temporary name beside `path`; `commit` makes it durable and gives
/// it its name.  Without `commit` nothing remains.
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  /// Appends.  Throws as throw_write_error.
  void write(const void* data, size_t size);
  void write(std::string_view data) { write(data.data(), data.size()); }
  void commit();

 private:
  std::filesystem::path path_, temporary_;
  FileDescriptor file_;
  bool committed_ = false;
};

}  // namespace ptq
