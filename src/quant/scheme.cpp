#include "ptq/quant/scheme.h"

#include "ptq/core/error.h"

namespace ptq {

int64_t QuantScheme::groups(int64_t in_features) const {
  const int64_t length = group_length(in_features);
  return (in_features + length - 1) / length;
}

int64_t QuantScheme::group_length(int64_t in_features) const {
  return group_size == -1 ? in_features : group_size;
}

double QuantScheme::bits_per_weight(int64_t in_features) const {
  constexpr int kEntryBits = 16;
  if (lookup)
    return bits + static_cast<double>(kEntryBits << bits) / static_cast<double>(in_features);
  const int per_group = 16 + (symmetric ? 0 : bits);
  return bits + static_cast<double>(per_group) * static_cast<double>(groups(in_features)) /
                    static_cast<double>(in_features);
}

std::string QuantScheme::name() const {
  if (lookup) return "w" + std::to_string(bits) + "-lookup";
  const std::string group = group_size == -1 ? "-channel" : "g" + std::to_string(group_size);
  return "w" + std::to_string(bits) + group + (symmetric ? "" : "-asym");
}

void QuantScheme::check() const {
  if (bits < 2 || bits > 8)
    throw ConfigError("bits is " + std::to_string(bits) + ", must be in [2, 8]");
  if (group_size != -1 && group_size < 1)
    throw ConfigError("group_size is " + std::to_string(group_size) + ", must be positive or -1",
                      "-1 gives each row one scale");
  if (lookup && (group_size != -1 || !symmetric))
    throw ConfigError(std::string("a lookup table has ") +
                          (symmetric ? "no groups: group_size is " + std::to_string(group_size)
                                     : "no zero points: the scheme is asymmetric"),
                      "leave group sizes and zero points out of it: a row has one table");
}

bool operator==(const QuantScheme& a, const QuantScheme& b) {
  return a.bits == b.bits && a.group_size == b.group_size && a.symmetric == b.symmetric &&
         a.lookup == b.lookup;
}

}  // namespace ptq
