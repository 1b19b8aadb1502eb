#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace ptq::tokenizer {

/// A map from pairs of token ids to a merge, in one flat table with linear probing.
class PairTable {
 public:
  struct Merge {
    int32_t rank;  ///< its place in the merge list: lower goes first; -1: no merge
    int32_t id;    ///< the token it makes
  };

  /// An empty table with room for `count` pairs.
  explicit PairTable(size_t count = 0) {
    int bits = 4;
    while ((size_t{1} << bits) < count * 2)
      ++bits;
    shift_ = 64 - bits;
    slots_.assign(size_t{1} << bits, Slot{kEmpty, {-1, -1}});
  }

  /// Sets the merge of (left, right), over an earlier one; at most `count` different pairs fit.
  void set(int32_t left, int32_t right, Merge merge) {
    const uint64_t key = pack(left, right);
    Slot& slot = slots_[index_of(key)];
    slot = {key, merge};
  }

  /// The merge of (left, right); its rank is -1 if there is none.
  Merge find(int32_t left, int32_t right) const {
    return slots_[index_of(pack(left, right))].merge;
  }

 private:
  struct Slot {
    uint64_t key;
    Merge merge;
  };
  /// No pair packs to this, ids being non-negative.
  static constexpr uint64_t kEmpty = ~uint64_t{0};

  static uint64_t pack(int32_t left, int32_t right) {
    return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
  }

  size_t index_of(uint64_t key) const {
    // Fibonacci hashing: the top bits of the product depend on all bits of the key.
    size_t index = (key ^ key >> 29) * 0x9E3779B97F4A7C15 >> shift_;
    while (slots_[index].key != key && slots_[index].key != kEmpty) {
      index = (index + 1) & (slots_.size() - 1);
    }
    return index;
  }

  int shift_ = 0;
  std::vector<Slot> slots_;
};

}  // namespace ptq::tokenizer
