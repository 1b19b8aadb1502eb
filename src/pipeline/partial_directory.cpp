#include "partial_directory.h"

#include "ptq/io/file.h"
#include "ptq/io/json.h"
#include "ptq/io/output_directory.h"

namespace ptq::detail {
namespace {

namespace fs = std::filesystem;

constexpr const char* kIdentity = "identity.json";

/// Nothing is left in `work` of a run that is not gone on with.
void clear(const fs::path& work) {
  // First: what a killed removal leaves must not pass for the work of whatever comes next.
  fs::remove(work / kIdentity);
  for (const auto& entry : fs::directory_iterator(work))
    fs::remove_all(entry.path());
}

}  // namespace

PartialDirectory::PartialDirectory(const Place& place, const Json& identity, bool resume,
                                   bool overwrite)
    : path_(without_trailing_separator(place.path)), work_(path_.string() + ".ptq-partial") {
  const auto check = [&] { check_output({path_, work_, place.input, place.marker, overwrite}); };
  check();
  if (fs::exists(work_) && !resume && !overwrite)
    throw ConfigError(work_.string() + " is an unfinished run",
                      "--resume goes on with it, --overwrite starts afresh");
  fs::create_directories(work_);
  lock_.emplace(work_);
  check();  // another run may have finished meanwhile
  const fs::path file = work_ / kIdentity;
  if (resume && fs::exists(file)) {
    const std::vector<std::string> changed = differences(identity, read_json_file(file));
    std::string list;
    for (const std::string& one : changed)
      list += "\n  " + one;
    if (!changed.empty())
      throw ConfigError("the unfinished run in " + work_.string() + " is another one:" + list,
                        "--overwrite without --resume starts afresh");
  } else {
    clear(work_);
  }
  write_file_atomically(file, identity.dump(2) + "\n");
}

void PartialDirectory::discard_after(const std::exception& error) noexcept {
  std::error_code ignored;
  size_t entries = 0;
  for (fs::directory_iterator entry(work_, ignored), end; entry != end; entry.increment(ignored))
    ++entries;
  const bool holds_work = entries > 1;  // than its identity
  if (holds_work && !would_come_again(error)) return;
  fs::remove(work_ / kIdentity, ignored);
  fs::remove_all(work_, ignored);
  lock_.reset();
}

void PartialDirectory::finish() {
  fs::remove(work_ / kIdentity);
  const fs::path old = path_.string() + ".ptq-old";
  if (fs::exists(path_)) {
    fs::remove_all(old);  // of a run that was killed right here
    fs::rename(path_, old);
  }
  fs::rename(work_, path_);
  fs::remove_all(old);
  lock_.reset();
}

}  // namespace ptq::detail
