#pragma once
#include <exception>
#include <filesystem>
#include <optional>
#include <string>

#include "ptq/core/options.h"
#include "ptq/io/directory_lock.h"

namespace ptq::detail {

/// A directory that appears under its name when it is complete.  Until then the work lies in
/// `<path>.ptq-partial`, which says in identity.json what it belongs to.
class PartialDirectory {
 public:
  /// Where the output goes, and what must not be lost for it; see OutputDirectory.
  struct Place {
    std::filesystem::path path;
    std::filesystem::path input;
    std::string marker;
  };

  /// Throws as check_output, and ConfigError if an unfinished run exists and may not be replaced or
  /// gone on with, if another run is at work in it, and, naming what changed, if the unfinished run
  /// has another `identity`.
  PartialDirectory(const Place& place, const Json& identity, bool resume, bool overwrite);

  const std::filesystem::path& work() const& { return work_; }
  /// Removes the work if it ended with an error that a resumed run would meet again: malformed,
  /// unsupported or numerical (would_come_again); or if there is none yet.
  void discard_after(const std::exception& error) noexcept;
  /// Gives the directory its name, in place of an older one if that was allowed.
  void finish();

 private:
  std::filesystem::path path_, work_;
  std::optional<DirectoryLock> lock_;  // of work_
};

}  // namespace ptq::detail
