#pragma once
#include <cstdint>
#include <filesystem>
#include <string>

namespace ptq::detail {

// What a run of the method keeps until its end, by name in one directory.

/// Statistics that the base reads, and those that the ranking reads.
constexpr const char* kBaseStatistics = "base-statistics";
constexpr const char* kStatistics = "statistics";
/// The base's run with the significant weights left out as well.
constexpr const char* kAgain = "again";
/// The whole result, which is then moved to its place.
constexpr const char* kResult = "result";

/// The base's run with nothing left out.
inline std::string dense_name(int64_t group_size) {
  return "dense-g" + std::to_string(group_size);
}

/// That without the outliers of exponent number `exponent`.
inline std::string apart_name(int64_t group_size, size_t exponent) {
  return "apart-g" + std::to_string(group_size) + "-" + std::to_string(exponent);
}

/// Gradients on the way to `what`.
inline std::string gradients_name(const std::string& what) {
  return "gradients-" + what;
}

/// What step `number`, counted from 0, found.
inline std::string step_name(int64_t number) {
  return "step-" + std::to_string(number);
}

/// Where the model lies that the run of the base `directory` is quantized from, if the base
/// prepares it.
inline std::filesystem::path prepared_of(const std::filesystem::path& directory) {
  return directory.parent_path() / ("prepared-" + directory.filename().string());
}

/// Where a collection has its sums, once they are complete.
inline std::filesystem::path manifest_of(const std::filesystem::path& store) {
  return store / "manifest.json";
}

}  // namespace ptq::detail
