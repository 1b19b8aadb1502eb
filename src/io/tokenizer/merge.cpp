#include <queue>

#include "bpe.h"

namespace ptq::tokenizer {
namespace {

/// Up to this many symbols scanning for the next merge beats keeping a queue.
constexpr size_t kScannedSymbols = 32;

void merge_by_scanning(const PairTable& merges, std::vector<int32_t>& symbols) {
  PairTable::Merge pending[kScannedSymbols];  // of symbols i and i + 1
  size_t pairs = symbols.size() - 1;
  for (size_t i = 0; i < pairs; ++i)
    pending[i] = merges.find(symbols[i], symbols[i + 1]);
  while (pairs > 0) {
    size_t best = pairs;
    for (size_t i = 0; i < pairs; ++i) {
      if (pending[i].rank < 0) continue;
      if (best == pairs || pending[i].rank < pending[best].rank) best = i;
    }
    if (best == pairs) return;
    symbols[best] = pending[best].id;
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(best) + 1);
    --pairs;
    for (size_t i = best; i < pairs; ++i)
      pending[i] = pending[i + 1];
    if (best < pairs) pending[best] = merges.find(symbols[best], symbols[best + 1]);
    if (best > 0) pending[best - 1] = merges.find(symbols[best - 1], symbols[best]);
  }
}

/// Symbols as a linked list in place, and the possible merges in a queue: O(n log n).
class QueuedMerger {
 public:
  QueuedMerger(const PairTable& merges, std::vector<int32_t>& symbols)
      : merges_(merges), symbols_(symbols), next_(symbols.size()), previous_(symbols.size()) {
    const auto size = static_cast<int32_t>(symbols.size());
    for (int32_t i = 0; i < size; ++i) {
      next_[index(i)] = i + 1 < size ? i + 1 : -1;
      previous_[index(i)] = i - 1;
    }
    for (int32_t i = 0; i + 1 < size; ++i)
      propose(i);
  }

  void run() {
    while (!queue_.empty()) {
      const Candidate candidate = queue_.top();
      queue_.pop();
      if (current(candidate)) merge_at(candidate.at);
    }
    size_t kept = 0;
    for (const int32_t id : symbols_) {
      if (id >= 0) symbols_[kept++] = id;
    }
    symbols_.resize(kept);
  }

 private:
  struct Candidate {
    int32_t rank, at;
    bool operator<(const Candidate& other) const {  // the queue's top is its greatest
      return rank != other.rank ? rank > other.rank : at > other.at;
    }
  };

  static size_t index(int32_t at) { return static_cast<size_t>(at); }

  PairTable::Merge merge_of(int32_t at) const {
    if (at < 0 || symbols_[index(at)] < 0 || next_[index(at)] < 0) return {-1, -1};
    return merges_.find(symbols_[index(at)], symbols_[index(next_[index(at)])]);
  }

  void propose(int32_t at) {
    const int32_t rank = merge_of(at).rank;
    if (rank >= 0) queue_.push({rank, at});
  }

  /// A candidate is out of date when either of its symbols has merged otherwise since.
  bool current(const Candidate& candidate) const {
    return merge_of(candidate.at).rank == candidate.rank;
  }

  void merge_at(int32_t at) {
    const int32_t right = next_[index(at)];
    symbols_[index(at)] = merge_of(at).id;
    symbols_[index(right)] = -1;
    next_[index(at)] = next_[index(right)];
    if (next_[index(at)] >= 0) previous_[index(next_[index(at)])] = at;
    propose(previous_[index(at)]);
    propose(at);
  }

  const PairTable& merges_;
  std::vector<int32_t>& symbols_;  ///< -1: merged into its left neighbour
  std::vector<int32_t> next_, previous_;
  std::priority_queue<Candidate> queue_;
};

}  // namespace

void apply_merges(const PairTable& merges, std::vector<int32_t>& symbols) {
  if (symbols.size() < 2) return;
  if (symbols.size() <= kScannedSymbols) {
    merge_by_scanning(merges, symbols);
  } else {
    QueuedMerger(merges, symbols).run();
  }
}

}  // namespace ptq::tokenizer
