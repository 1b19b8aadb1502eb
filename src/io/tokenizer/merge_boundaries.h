#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "pair_table.h"

namespace ptq::tokenizer {

/// Where long text can be cut without changing its encoding.
///
/// A token made by merges spans adjacent initial symbols x y only if some merge of the list joins a
/// token that ends in x with one that begins with y.  All such pairs are collected; between any
/// other two symbols no token can reach across, so both sides are encoded on their own.  Text
/// without a pre-tokenizer (Llama 2) so falls into words.
class MergeBoundaries {
 public:
  struct Merge {
    int32_t left, right, made;
  };

  /// Cuts nowhere.
  MergeBoundaries() = default;
  /// Learns from all merges of a model with ids below `id_limit`, whose initial symbols are marked
  /// in `initial`; cuts nowhere if a merge can make an initial symbol or one token can begin or end
  /// with different symbols.
  MergeBoundaries(const std::vector<Merge>& merges, const std::vector<bool>& initial);

  /// Whether any cut is possible at all.
  bool active() const { return active_; }
  /// Whether text may be cut between the initial symbols `left` and `right`.
  bool cut(int32_t left, int32_t right) const { return joined_.find(left, right).rank < 0; }

 private:
  bool active_ = false;
  PairTable joined_;
};

}  // namespace ptq::tokenizer
