#include "windows.h"

#include <algorithm>
#include <numeric>
#include <random>
#include <set>
#include <string_view>
#include <unordered_set>

#include "ptq/core/error.h"

namespace ptq {
namespace {

/// Uniform in [0, bound): std::uniform_int_distribution differs between standard libraries.
uint64_t draw_below(std::mt19937_64& generator, uint64_t bound) {
  const uint64_t whole = UINT64_MAX - UINT64_MAX % bound;  // a multiple of bound
  uint64_t value = generator();
  while (value >= whole)
    value = generator();
  return value % bound;
}

/// Polynomial hashes modulo 2^64 of every run of `length` ids in [begin, begin + size).
template <class Visit>
void visit_hashes(const int64_t* begin, int64_t size, int64_t length, const Visit& visit) {
  constexpr uint64_t kBase = 0x9E3779B97F4A7C15;
  uint64_t power = 1, hash = 0;
  for (int64_t i = 0; i < length; ++i)
    power *= kBase;
  for (int64_t i = 0; i < size; ++i) {
    hash = hash * kBase + static_cast<uint64_t>(begin[i]) + 1;
    if (i >= length) hash -= power * (static_cast<uint64_t>(begin[i - length]) + 1);
    if (i + 1 >= length) visit(hash);
  }
}
}  // namespace

std::vector<int64_t> choose_windows(int64_t available, int64_t count, const std::string& rule,
                                    uint64_t seed) {
  count = std::min(count, available);
  std::vector<int64_t> chosen(static_cast<size_t>(count));
  if (rule == "first") {
    std::iota(chosen.begin(), chosen.end(), int64_t{0});
  } else if (rule == "spread") {
    for (int64_t i = 0; i < count; ++i)
      chosen[static_cast<size_t>(i)] = i * available / count;
  } else if (rule == "random") {
    // The first `count` steps of a Fisher-Yates shuffle.
    std::vector<int64_t> all(static_cast<size_t>(available));
    std::iota(all.begin(), all.end(), int64_t{0});
    std::mt19937_64 generator(seed);
    for (size_t i = 0; i < chosen.size(); ++i) {
      std::swap(all[i], all[i + draw_below(generator, all.size() - i)]);
      chosen[i] = all[i];
    }
    std::sort(chosen.begin(), chosen.end());
  } else {
    throw ConfigError("unknown choice of windows \"" + rule + "\"", "known: spread, first, random");
  }
  return chosen;
}

int64_t count_duplicates(const std::vector<int64_t>& windows, int64_t seqlen) {
  std::set<std::vector<int64_t>> seen;
  int64_t duplicates = 0;
  for (auto row = windows.begin(); row != windows.end(); row += seqlen)
    if (!seen.emplace(row, row + seqlen).second) ++duplicates;
  return duplicates;
}

double overlap_share(const std::vector<int64_t>& windows, int64_t seqlen,
                     const std::vector<int64_t>& text, int64_t length) {
  std::unordered_set<uint64_t> known;
  visit_hashes(text.data(), static_cast<int64_t>(text.size()), length,
               [&](uint64_t hash) { known.insert(hash); });
  int64_t runs = 0, found = 0;
  const auto total = static_cast<int64_t>(windows.size());
  for (int64_t row = 0; row < total; row += seqlen)
    visit_hashes(windows.data() + row, seqlen, length, [&](uint64_t hash) {
      ++runs;
      if (known.count(hash) > 0) ++found;
    });
  return runs == 0 ? 0.0 : static_cast<double>(found) / static_cast<double>(runs);
}

}  // namespace ptq
