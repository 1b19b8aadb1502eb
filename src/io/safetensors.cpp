#include "ptq/io/safetensors.h"

#include <cstring>
#include <string_view>

#include <ATen/ATen.h>

#include "mapped_file.h"
#include "posix.h"
#include "ptq/io/json.h"
#include "safetensors_header.h"

namespace ptq {

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path)
    : path_(path), file_(std::make_shared<MappedFile>(path)) {
  // A byte view of the mapping; char may alias anything.
  const std::string_view bytes(reinterpret_cast<const char*>(file_->data()), file_->size());
  SafetensorsHeader header = parse_safetensors_header(bytes, shown(path));
  data_begin_ = header.data_begin;
  entries_ = std::move(header.entries);
  metadata_ = std::move(header.metadata);
}

at::Tensor SafetensorsFile::tensor(const std::string& name) const {
  const auto found = entries_.find(name);
  if (found == entries_.end())
    throw FormatError(shown(path_) + " has no tensor " + in_quotes(name));
  const TensorEntry& entry = found->second;
  const auto options = at::TensorOptions().dtype(entry.dtype);
  // from_blob takes a writable pointer; nothing writes through it, and the mapping is read-only.
  uint8_t* data = const_cast<uint8_t*>(file_->data()) + data_begin_ + entry.begin;
  const auto bytes_view = [&](at::ScalarType dtype, const std::vector<int64_t>& shape) {
    return at::from_blob(
        data, shape, [keep = file_](void*) {}, options.dtype(dtype));
  };
  // A bool other than 0 and 1 in the file would be undefined to read.
  if (entry.dtype == at::kBool) return bytes_view(at::kByte, entry.shape).ne(0);
  if (reinterpret_cast<uintptr_t>(data) % c10::elementSize(entry.dtype) == 0)
    return bytes_view(entry.dtype, entry.shape);
  at::Tensor copy = at::empty(entry.shape, options);
  const auto size = static_cast<int64_t>(entry.end - entry.begin);
  if (size > 0) std::memcpy(copy.data_ptr(), data, static_cast<size_t>(size));
  return copy;
}

void SafetensorsFile::release(const std::string& name) const {
  const auto found = entries_.find(name);
  if (found != entries_.end())
    file_->release(data_begin_ + found->second.begin, data_begin_ + found->second.end);
}

}  // namespace ptq
