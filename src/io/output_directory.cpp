#include "ptq/io/output_directory.h"

#include <cstdio>

#include "posix.h"
#include "ptq/core/error.h"
#include "ptq/io/file.h"
#include "ptq/io/json.h"

namespace ptq {
namespace fs = std::filesystem;
namespace {

bool holds(const fs::path& outer, const fs::path& inner) {
  const fs::path relative =
      fs::weakly_canonical(inner).lexically_relative(fs::weakly_canonical(outer));
  return !relative.empty() && *relative.begin() != "..";
}

bool is_earlier_output(const OutputDirectory& output) {
  const fs::path marker = output.path / output.marker;
  if (!path_exists(marker) || fs::is_symlink(output.path)) return false;
  if (output.format.empty()) return true;
  try {
    const Json json = read_json_file(marker);
    return json.is_object() && json.value("format", Json()) == output.format;
  } catch (const Error&) {
    return false;
  }
}

}  // namespace

fs::path partial_of(const fs::path& output) {
  return without_trailing_separator(output).string() + ".ptq-partial";
}

void check_output(const OutputDirectory& output) {
  const fs::path& path = output.path;
  for (const fs::path& input : output.inputs)
    if (!input.empty() && path_exists(input) && holds(path, input))
      throw ConfigError("the output " + shown(path) + " is or holds the input " + shown(input));
  if (!fs::exists(fs::symlink_status(path))) return;
  if (!fs::is_directory(path)) throw ConfigError("the output " + shown(path) + " is a file");
  if (fs::is_empty(path)) return;
  const fs::path partial = partial_of(path);
  if (!output.overwrite && path_exists(partial))
    throw ConfigError(
        "the output " + shown(path) + " exists, and an unfinished run is in " + shown(partial),
        "--resume --overwrite goes on with it, --overwrite alone starts afresh");
  if (!output.overwrite)
    throw ConfigError("the output " + shown(path) + " exists",
                      "--overwrite replaces it, or name another output");
  if (!is_earlier_output(output))
    throw ConfigError("the output " + shown(path) + " exists and holds no " + output.marker +
                          " of an earlier one, so it is not replaced",
                      "name another output");
}

void complete_output(const OutputDirectory& output) {
  const fs::path old = output.path.string() + ".ptq-old";
  const bool replaces = path_exists(output.path);
  if (replaces) {
    check_output(output);  // it may have appeared since the start
    remove_tree(old);      // of a run that was killed right here
    rename_durably(output.path, old);
  }
  try {
    rename_durably(partial_of(output.path), output.path);
  } catch (...) {
    if (replaces) std::rename(old.c_str(), output.path.c_str());
    throw;
  }
  remove_tree(old);
}

}  // namespace ptq
