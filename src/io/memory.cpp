#include "ptq/io/memory.h"

#include <algorithm>
#include <fstream>
#include <string>
#include <system_error>

#include <sys/resource.h>
#include <unistd.h>

#include "posix.h"
#include "ptq/core/error.h"

namespace ptq {

int64_t peak_rss_bytes() {
  struct rusage usage = {};
  ::getrusage(RUSAGE_SELF, &usage);
  return int64_t{usage.ru_maxrss} * 1024;
}

int64_t physical_memory_bytes() {
  const int64_t machine = int64_t{::sysconf(_SC_PHYS_PAGES)} * ::sysconf(_SC_PAGESIZE);
  // The limit of a container: cgroup version 2, then version 1.
  for (const char* path :
       {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
    int64_t limit = 0;
    if (std::ifstream(path) >> limit && limit > 0) return std::min(machine, limit);
  }
  return machine;
}

int64_t available_disk_bytes(const std::filesystem::path& path) {
  std::error_code error;
  std::filesystem::path place = std::filesystem::absolute(path, error);
  while (!std::filesystem::exists(place, error) && place.has_relative_path())
    place = place.parent_path();
  const std::filesystem::space_info space = std::filesystem::space(place, error);
  if (error)
    throw ConfigError("cannot ask the disk space of " + shown(place) + ": " + error.message());
  return static_cast<int64_t>(space.available);
}

}  // namespace ptq
