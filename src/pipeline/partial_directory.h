#pragma once
#include <exception>
#include <filesystem>
#include <initializer_list>
#include <optional>

#include "ptq/core/options.h"
#include "ptq/io/directory_lock.h"
#include "ptq/io/output_directory.h"

namespace ptq::detail {

/// A directory that appears under its name when it is complete.  Until then the work lies in
/// `<path>.ptq-partial`, which says in identity.json what it belongs to.
class PartialDirectory {
 public:
  /// Throws as check_output, and ConfigError if an unfinished run exists and may not be replaced or
  /// gone on with, if another run is at work in it, if it is no run of this kind and, naming what
  /// changed, if it has another `identity`.
  PartialDirectory(OutputDirectory output, const Json& identity, bool resume);

  const std::filesystem::path& work() const& { return work_; }
  /// Removes the work if it ended with an error that a resumed run would meet again: malformed,
  /// unsupported or numerical (would_come_again); or if there is none yet.
  void discard_after(const std::exception& error) noexcept;
  /// Removes the work, where what it was for is kept elsewhere.
  void discard() noexcept;
  /// Gives the directory its name, in place of an older one if that was allowed, and then removes
  /// the entries `scaffolding`, which only a resumed run needs.  Throws as complete_output; the
  /// work is then still there to be resumed.
  void finish(std::initializer_list<const char*> scaffolding = {});

 private:
  OutputDirectory output_;
  std::filesystem::path work_;
  std::optional<DirectoryLock> lock_;  // of work_
};

}  // namespace ptq::detail
