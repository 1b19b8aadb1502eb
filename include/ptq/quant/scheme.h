#pragma once
#include <cstdint>
#include <map>
#include <string>

namespace ptq {

/// How one linear layer is put on integer grids or, with `lookup`, on a table of values for each
/// row.
struct QuantScheme {
  int bits = 4;              ///< 2 … 8
  int64_t group_size = 128;  ///< input features that share one scale; -1: the whole row
  bool symmetric = true;     ///< zero point fixed at 2^(bits-1)
  /// Codes name the 2^bits entries of the row's table, not the points of a grid; group_size is then
  /// -1 and symmetric true.
  bool lookup = false;

  /// Groups in a row of `in_features`, the last one possibly shorter.
  int64_t groups(int64_t in_features) const;
  /// Features of a full group: `group_size`, or `in_features` for -1.
  int64_t group_length(int64_t in_features) const;
  /// Bits per weight including a 16-bit scale a group and, if asymmetric, a `bits`-wide zero point;
  /// with a table, including its 2^bits entries of 16 bits.
  double bits_per_weight(int64_t in_features) const;
  /// "w4g64", "w3g128-asym", "w8-channel", "w3-lookup": short name for tables.
  std::string name() const;
  /// Throws ConfigError unless bits are 2 … 8 and group_size is -1 or positive, and for a table
  /// with groups or zero points.
  void check() const;
};
bool operator==(const QuantScheme& a, const QuantScheme& b);
inline bool operator!=(const QuantScheme& a, const QuantScheme& b) {
  return !(a == b);
}

/// The decision for a model, by site name.  A site that is absent stays as it is.
using QuantPlan = std::map<std::string, QuantScheme>;

}  // namespace ptq
