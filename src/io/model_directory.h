#pragma once
#include <filesystem>

namespace ptq {

inline constexpr char kConfigFile[] = "config.json";
inline constexpr char kSingleFile[] = "model.safetensors";
inline constexpr char kIndexFile[] = "model.safetensors.index.json";
inline constexpr char kManifestFile[] = "ptq-manifest.json";
inline constexpr char kProgressFile[] = "progress.json";
inline constexpr char kStateExtension[] = ".ptq-state";

/// Throws unless `directory` is a directory with safetensors weights: ConfigError if it is none,
/// UnsupportedError with the way to convert if its weights are of another kind, FormatError if it
/// has no weights.
void check_model_directory(const std::filesystem::path& directory);

}  // namespace ptq
