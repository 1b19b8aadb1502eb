#pragma once
#include <filesystem>
#include <string>
#include <vector>

namespace ptq {

/// In the unfinished work of `ptq calibrate` and `ptq sensitivity`: what it belongs to.
constexpr const char* kIdentityFile = "identity.json";

/// An output directory as a run is told it.
struct OutputDirectory {
  std::filesystem::path path;                 ///< without a separator at its end
  std::vector<std::filesystem::path> inputs;  ///< what the run reads and must not replace
  std::string marker;      ///< the file that every complete output of this kind holds
  std::string format;      ///< `format` in the marker, a JSON object; empty: any marker will do
  bool overwrite = false;  ///< may replace an existing output
};

/// Where an unfinished run of `output` lies: beside it, whether or not a separator ends its name.
std::filesystem::path partial_of(const std::filesystem::path& output);

/// Throws ConfigError if the output is or holds an input, is a file, exists without
/// `overwrite`, or is to be replaced although it lacks the marker: a slip of the hand must not cost
/// a home directory.  An empty directory may always be replaced.
void check_output(const OutputDirectory& output);

/// Gives the partial directory the output's name.  What stands there, checked again, is removed
/// afterwards, and has its name back if the renaming fails.  Throws as check_output and
/// write_safetensors.
void complete_output(const OutputDirectory& output);

}  // namespace ptq
