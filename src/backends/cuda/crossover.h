#pragma once
#include <cstdint>

namespace ptq::cuda {

/// From how many tokens on a weight is dequantized for cuBLASLt (path L) and not multiplied packed
/// (path S): a table and not a timing at run time, so that the same command gives the same bits.
struct Crossover {
  enum class Source { kEstimate, kMeasured };

  int capability;  ///< 10 · major + minor; holds for later ones without an entry, too
  bool sparse;     ///< with a sparse part, which costs S more than L
  int64_t tokens;
  Source source;  ///< kMeasured: what scripts/gpu_check.sh printed on such a device
};

/// The only place that is read.  9.0 was measured on an H200.  The estimates for the other devices
/// come from a calculation for an H100: dequantizing takes 0.84 ps a weight, which is what S loses
/// at 280 TFLOP/s to cuBLASLt's 700 by M = 0.84e-12 / (2 / 280e12 − 2 / 700e12) = 196 tokens.
constexpr Crossover kCrossovers[] = {
    {80, false, 192, Crossover::Source::kEstimate}, {80, true, 64, Crossover::Source::kEstimate},
    {86, false, 192, Crossover::Source::kEstimate}, {86, true, 64, Crossover::Source::kEstimate},
    {89, false, 192, Crossover::Source::kEstimate}, {89, true, 64, Crossover::Source::kEstimate},
    {90, false, 96, Crossover::Source::kMeasured},  {90, true, 48, Crossover::Source::kMeasured},
};

/// The entry for a device; the first of the table for an older one than all.
constexpr const Crossover& crossover_of(int capability, bool sparse) {
  const Crossover* found = nullptr;
  for (const Crossover& each : kCrossovers) {
    if (each.sparse != sparse) continue;
    if (found == nullptr || each.capability <= capability) found = &each;
  }
  return *found;
}

}  // namespace ptq::cuda
