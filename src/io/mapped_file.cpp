#include "mapped_file.h"

#include <cerrno>
#include <system_error>

#include <sys/mman.h>
#include <unistd.h>

#include "posix.h"
#include "ptq/core/error.h"

namespace ptq {

MappedFile::MappedFile(const std::filesystem::path& path) {
  int64_t size = 0;
  const FileDescriptor file = open_regular_file(path, size);
  if (size == 0) throw FormatError(shown(path) + " is empty");
  void* mapping = ::mmap(nullptr, static_cast<size_t>(size), PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (mapping == MAP_FAILED)
    throw ResourceError("cannot map " + shown(path) + " of " + std::to_string(size) +
                        " bytes: " + std::generic_category().message(errno));
  data_ = static_cast<uint8_t*>(mapping);
  size_ = static_cast<uint64_t>(size);
}

MappedFile::~MappedFile() {
  ::munmap(data_, size_);
}

void MappedFile::release(uint64_t begin, uint64_t end) const {
  const uint64_t page = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  // Whole pages that the range touches: neighbours on them lose nothing but a page fault.
  const uint64_t first = begin / page * page;
  if (end > first) ::madvise(data_ + first, end - first, MADV_DONTNEED);
}

}  // namespace ptq
