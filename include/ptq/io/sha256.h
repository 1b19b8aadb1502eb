#pragma once
#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace ptq {

/// SHA-256 (FIPS 180-4) of data that comes in pieces.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  /// Appends `size` bytes.
  void update(const void* data, size_t size);
  /// Appends the bytes of `data`.
  void update(std::string_view data) { update(data.data(), data.size()); }

  /// The digest of all that was appended, 64 lower-case hex digits; ends the object's use.
  std::string hex();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// The digest of `data` as 64 lower-case hex digits.
std::string sha256_hex(std::string_view data);

/// The digest of a file's bytes, read in pieces of 1 MiB; `between`, if given, is called before
/// each and may throw to stop.  Throws ConfigError if the file cannot be read.
std::string sha256_file(const std::filesystem::path& path,
                        const std::function<void()>& between = {});

}  // namespace ptq
