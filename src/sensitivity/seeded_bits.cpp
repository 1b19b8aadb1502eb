#include "ptq/sensitivity/seeded_bits.h"

namespace ptq::estimator {
namespace {

uint64_t mixed(uint64_t bits) {
  bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9U;
  bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EBU;
  return bits ^ (bits >> 31);
}

}  // namespace

SeededBits::SeededBits(const std::string& name, uint64_t seed) {
  uint64_t hash = 0xCBF29CE484222325U;
  for (const char letter : name)
    hash = (hash ^ static_cast<unsigned char>(letter)) * 0x100000001B3U;
  state_ = mixed(hash ^ mixed(seed + 1));
}

uint64_t SeededBits::next() {
  return mixed(state_ += 0x9E3779B97F4A7C15U);
}

double SeededBits::uniform() {
  return static_cast<double>(next() >> 11) * 0x1p-53;
}

int64_t SeededBits::below(int64_t count) {
  // The upper half of a product; what it favours is less than count/2^32.
  return static_cast<int64_t>(((next() >> 32) * static_cast<uint64_t>(count)) >> 32);
}

}  // namespace ptq::estimator
