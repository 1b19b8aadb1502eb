#include "partial_directory.h"

#include "ptq/io/file.h"
#include "ptq/io/json.h"
#include "run_state.h"

namespace ptq::detail {
namespace {

namespace fs = std::filesystem;

/// Nothing is left in `work` of a run that is not gone on with.
void clear(const fs::path& work) {
  // First: what a killed removal leaves must not pass for the work of whatever comes next.
  fs::remove(work / kIdentityFile);
  for (const auto& entry : fs::directory_iterator(work))
    fs::remove_all(entry.path());
}

/// Whether there is more in `work` than its identity, which may be half written.  What cannot be
/// looked at may hold everything.
bool holds_work(const fs::path& work) {
  std::error_code error;
  for (fs::directory_iterator entry(work, error), end; !error && entry != end;
       entry.increment(error))
    if (entry->path().filename().string().rfind(kIdentityFile, 0) != 0) return true;
  return static_cast<bool>(error);
}

}  // namespace

PartialDirectory::PartialDirectory(OutputDirectory output, const Json& identity, bool resume)
    : output_(std::move(output)), work_(partial_of(output_.path)) {
  output_.path = without_trailing_separator(output_.path);
  check_output(output_);
  if (fs::exists(work_) && !resume && !output_.overwrite)
    throw ConfigError(work_.string() + " is an unfinished run",
                      "--resume goes on with it, --overwrite starts afresh");
  fs::create_directories(work_);
  lock_.emplace(work_);
  check_output(output_);  // another run may have finished meanwhile
  const bool known = fs::exists(work_ / kIdentityFile);
  if (resume && known) {
    require_same_run(identity, read_json_file(work_ / kIdentityFile), work_);
  } else if (resume && holds_work(work_)) {
    throw ConfigError(work_.string() + " holds no " + kIdentityFile +
                          ", so it is no unfinished run of this command",
                      "--overwrite without --resume starts afresh");
  } else {
    clear(work_);
  }
  write_file_atomically(work_ / kIdentityFile, identity.dump(2) + "\n");
}

void PartialDirectory::discard_after(const std::exception& error) noexcept {
  if (!holds_work(work_) || would_come_again(error)) discard();
}

void PartialDirectory::discard() noexcept {
  std::error_code ignored;
  fs::remove(work_ / kIdentityFile, ignored);
  fs::remove_all(work_, ignored);
  lock_.reset();
}

void PartialDirectory::finish(std::initializer_list<const char*> scaffolding) {
  complete_output(output_);
  // Only now: until the renaming a resumed run asks for it.  What cannot be removed does no harm.
  std::error_code ignored;
  for (const char* name : scaffolding)
    fs::remove_all(output_.path / name, ignored);
  fs::remove(output_.path / kIdentityFile, ignored);
  lock_.reset();
}

}  // namespace ptq::detail
