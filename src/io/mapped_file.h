#pragma once
#include <cstdint>
#include <filesystem>

namespace ptq {

/// A whole file mapped read-only.
class MappedFile {
 public:
  /// Throws ConfigError if the file cannot be opened, FormatError if it is empty or not a regular
  /// file.
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const uint8_t* data() const { return data_; }
  uint64_t size() const { return size_; }
  /// Drops the resident pages of [begin, end); they are read again when touched.
  void release(uint64_t begin, uint64_t end) const;

 private:
  uint8_t* data_ = nullptr;
  uint64_t size_ = 0;
};

}  // namespace ptq
