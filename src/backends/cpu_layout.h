#pragma once
#include <cstdint>

// Where the codes and scales of the cpu backend's weights lie (docs/backends.md): one layout for
// every instruction set.  A "position" is an input feature's place after sorting and padding.
// The functions are static: this header is also compiled for newer instruction sets.
namespace ptq::backend {

constexpr int64_t kBlockOutputs = 16;    ///< outputs side by side: 64 bytes, a register of AVX-512
constexpr int64_t kWordCodes = 8;        ///< consecutive positions of one output in a 32-bit word
constexpr int64_t kOutputMultiple = 32;  ///< outputs are padded to it: whole panels of every set
constexpr int64_t kDepth = 1024;         ///< positions that are summed before they are added up

/// The word of output `out` that holds `position`, among `words` words of an output.
static constexpr int64_t word_index(int64_t out, int64_t position, int64_t words) {
  return (out / kBlockOutputs * words + position / kWordCodes) * kBlockOutputs +
         out % kBlockOutputs;
}

/// The lowest bit of a position's code in its word.
static constexpr int bit_of(int64_t position) {
  return static_cast<int>(position % kWordCodes) * 4;
}

/// Where the scale and zero point of a group of `out` lie, among `groups` groups.
static constexpr int64_t scale_index(int64_t out, int64_t group, int64_t groups) {
  return (out / kBlockOutputs * groups + group) * kBlockOutputs + out % kBlockOutputs;
}

/// `value` rounded up to a multiple of `multiple`.
static constexpr int64_t round_up(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

/// Consecutive words of one group within one stretch of kDepth positions.
struct Run {
  int32_t group;
  int32_t begin, end;  ///< words
};

}  // namespace ptq::backend
