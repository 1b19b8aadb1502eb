#pragma once
#include <filesystem>
#include <map>
#include <string>

#include <ATen/core/Tensor.h>

#include "ptq/io/checkpoint_writer.h"

namespace ptq {

/// As the public write_safetensors, and calls `written`, if given, after each tensor; what that
/// throws ends the writing, and nothing remains.
void write_safetensors(const std::filesystem::path& path,
                       const std::map<std::string, at::Tensor>& tensors,
                       const std::map<std::string, std::string>& metadata,
                       const TensorWritten& written);

}  // namespace ptq
