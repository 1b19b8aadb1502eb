#pragma once
#include <cstdint>
#include <string>

namespace ptq::estimator {

/// Random bits that depend on a name and a seed only: the same on every machine, for any order in
/// which names are asked for.  SplitMix64 (Steele, Lea, Flood, OOPSLA 2014) from an FNV-1a hash.
class SeededBits {
 public:
  SeededBits(const std::string& name, uint64_t seed);

  uint64_t next();
  /// In [0, 1), a multiple of 2⁻⁵³.
  double uniform();
  /// In [0, count), `count` positive and below 2³².
  int64_t below(int64_t count);

 private:
  uint64_t state_;
};

}  // namespace ptq::estimator
