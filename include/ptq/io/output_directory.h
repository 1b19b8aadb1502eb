#pragma once
#include <filesystem>
#include <string>

namespace ptq {

/// An output directory as a run is told it.
struct OutputDirectory {
  std::filesystem::path path;     ///< without a separator at its end
  std::filesystem::path partial;  ///< where an unfinished run of it lies
  std::filesystem::path input;    ///< what the run reads and must not replace; empty: nothing
  std::string marker;             ///< the file that every complete output of this kind holds
  bool overwrite = false;         ///< may replace an existing output
};

/// Throws ConfigError if the output is or holds the input, is a file, exists without
/// `overwrite`, or is to be replaced although it lacks the marker: a slip of the hand must not cost
/// a home directory.  An empty directory may always be replaced.
void check_output(const OutputDirectory& output);

}  // namespace ptq
