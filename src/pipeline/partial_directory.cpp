#include "partial_directory.h"

#include "ptq/io/file.h"
#include "ptq/io/json.h"

namespace ptq::detail {

PartialDirectory::PartialDirectory(const std::filesystem::path& path, const Json& identity,
                                   bool resume, bool overwrite)
    : path_(without_trailing_separator(path)), work_(path_.string() + ".ptq-partial") {
  namespace fs = std::filesystem;
  if (fs::exists(path_) && !overwrite)
    throw ConfigError(path_.string() + " exists", "choose another --out, or --overwrite");
  if (fs::exists(work_) && !resume && !overwrite)
    throw ConfigError(work_.string() + " is an unfinished run",
                      "--resume goes on with it, --overwrite starts afresh");
  fs::create_directories(work_);
  lock_.emplace(work_);
  if (!resume)
    for (const auto& entry : fs::directory_iterator(work_))
      fs::remove_all(entry.path());
  const fs::path file = work_ / "identity.json";
  if (fs::exists(file)) {
    const std::vector<std::string> changed = differences(identity, read_json_file(file));
    std::string list;
    for (const std::string& one : changed)
      list += "\n  " + one;
    if (!changed.empty())
      throw ConfigError("the unfinished run in " + work_.string() + " is another one:" + list,
                        "--overwrite without --resume starts afresh");
  }
  write_file_atomically(file, identity.dump(2) + "\n");
}

void PartialDirectory::discard_after(const std::exception& error) {
  if (!would_come_again(error)) return;
  std::filesystem::remove_all(work_);
  lock_.reset();
}

void PartialDirectory::finish() {
  namespace fs = std::filesystem;
  fs::remove(work_ / "identity.json");
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
