#pragma once
#include <cstdint>
#include <optional>
#include <vector>

namespace ptq::cuda {

/// The first of `tokens`, which rise, from which on `second` took less time than `first`; nothing
/// if it does not at the last.
inline std::optional<int64_t> find_crossover(const std::vector<int64_t>& tokens,
                                             const std::vector<double>& first,
                                             const std::vector<double>& second) {
  std::optional<int64_t> found;
  for (size_t i = tokens.size(); i-- > 0 && second[i] < first[i];) {
    found = tokens[i];
  }
  return found;
}

}  // namespace ptq::cuda
