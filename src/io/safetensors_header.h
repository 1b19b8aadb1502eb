#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "ptq/io/safetensors.h"

namespace ptq {

/// What the header of a safetensors file says.
struct SafetensorsHeader {
  uint64_t data_begin = 0;  ///< byte offset of the data section in the file
  std::map<std::string, TensorEntry> entries;
  std::map<std::string, std::string> metadata;
};

/// Reads and checks the header of a file of which `bytes` is the whole content.  Throws FormatError
/// or UnsupportedError starting with `where`.
SafetensorsHeader parse_safetensors_header(std::string_view bytes, const std::string& where);

/// The format's name of a dtype, "BF16".  Throws UnsupportedError if it has none.
std::string safetensors_dtype(at::ScalarType dtype);

}  // namespace ptq
