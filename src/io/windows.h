#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace ptq {

/// Which of `available` windows to use, ascending: `count` of them, or all if there are fewer.
/// `rule` is "first"; "spread", window floor(i * available / count) for i = 0, 1, …; or "random",
/// distinct ones that depend on `seed` alone, not on the platform.  Throws ConfigError for another.
std::vector<int64_t> choose_windows(int64_t available, int64_t count, const std::string& rule,
                                    uint64_t seed);

/// How many rows of `windows` (each `seqlen` ids, one after the other) equal an earlier one.
int64_t count_duplicates(const std::vector<int64_t>& windows, int64_t seqlen);

/// The share of all runs of `length` consecutive ids within one window that occur in `text`; 0 if
/// the windows hold none.
double overlap_share(const std::vector<int64_t>& windows, int64_t seqlen,
                     const std::vector<int64_t>& text, int64_t length);

}  // namespace ptq
