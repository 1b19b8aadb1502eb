#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

namespace ptq {
class MappedFile;

/// Where one tensor lies in the file's data section.
struct TensorEntry {
  at::ScalarType dtype;
  std::vector<int64_t> shape;
  uint64_t begin = 0, end = 0;  ///< byte offsets from the start of the data section
};

/// A read-only safetensors file
/// (https://huggingface.co/docs/safetensors, F64 F32 F16 BF16 I64 I32 I16 I8 U8 BOOL).
class SafetensorsFile {
 public:
  /// Maps the file and checks its header: length, JSON, dtypes, shapes, and that the tensors tile
  /// the data section without overlap or hole.  Throws FormatError naming file, tensor and fault,
  /// UnsupportedError for a dtype this reader does not know (the F8 kinds among them).
  explicit SafetensorsFile(const std::filesystem::path& path);

  const std::map<std::string, TensorEntry>& entries() const& { return entries_; }
  const std::map<std::string, std::string>& metadata() const& { return metadata_; }
  const std::filesystem::path& path() const& { return path_; }

  /// A read-only view of the mapping, which it keeps alive; a copy where the file puts the tensor
  /// on an address its dtype cannot be read at, and for bool.  Throws FormatError if there is no
  /// such tensor.
  at::Tensor tensor(const std::string& name) const;

  /// Gives the memory pages of a tensor back to the system; views stay valid and read them again
  /// when used.  Does nothing for an unknown name.
  void release(const std::string& name) const;

 private:
  std::filesystem::path path_;
  std::shared_ptr<const MappedFile> file_;
  uint64_t data_begin_ = 0;
  std::map<std::string, TensorEntry> entries_;
  std::map<std::string, std::string> metadata_;
};

/// Writes the file through a temporary one beside it, fsync and rename: `path` is whole or absent.
/// Tensors of any layout and device; the same tensors give the same bytes.  Throws ResourceError
/// when the disk is full, ConfigError when the place is not writable, UnsupportedError for a dtype
/// the format does not have.
void write_safetensors(const std::filesystem::path& path,
                       const std::map<std::string, at::Tensor>& tensors,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace ptq
