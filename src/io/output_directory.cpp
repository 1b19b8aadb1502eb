#include "ptq/io/output_directory.h"

#include "posix.h"
#include "ptq/core/error.h"

namespace ptq {
namespace fs = std::filesystem;
namespace {

bool holds(const fs::path& outer, const fs::path& inner) {
  const fs::path relative =
      fs::weakly_canonical(inner).lexically_relative(fs::weakly_canonical(outer));
  return !relative.empty() && *relative.begin() != "..";
}

}  // namespace

void check_output(const OutputDirectory& output) {
  const fs::path& path = output.path;
  if (!output.input.empty() && path_exists(output.input) && holds(path, output.input))
    throw ConfigError("the output " + shown(path) + " is or holds the input " +
                      shown(output.input));
  if (!fs::exists(fs::symlink_status(path))) return;
  if (!fs::is_directory(path)) throw ConfigError("the output " + shown(path) + " is a file");
  if (fs::is_empty(path)) return;
  if (!output.overwrite && path_exists(output.partial))
    throw ConfigError("the output " + shown(path) + " exists, and an unfinished run is in " +
                          shown(output.partial),
                      "--resume --overwrite goes on with it, --overwrite alone starts afresh");
  if (!output.overwrite)
    throw ConfigError("the output " + shown(path) + " exists",
                      "--overwrite replaces it, or name another output");
  if (!path_exists(path / output.marker) || fs::is_symlink(path))
    throw ConfigError("the output " + shown(path) + " exists and holds no " + output.marker +
                          " of an earlier one, so it is not replaced",
                      "name another output");
}

}  // namespace ptq
