#pragma once
#include <cstdint>

namespace ptq {

constexpr int64_t kMostRotatingCopies = 256;  ///< enough for a prefetcher to lose its way

/// Copies of `bytes` each that take turns in a timing so that none is met in a cache of
/// `cache_bytes`: together more than three times as large, but at most kMostRotatingCopies.
constexpr int64_t rotating_copies(double bytes, int64_t cache_bytes) {
  const double copies = 3.0 * static_cast<double>(cache_bytes) / bytes;
  return copies < kMostRotatingCopies ? 1 + static_cast<int64_t>(copies) : kMostRotatingCopies;
}

}  // namespace ptq
