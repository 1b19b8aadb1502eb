#include "merge_boundaries.h"

namespace ptq::tokenizer {
namespace {

/// The first (or last) initial symbol of each token; empty if it is not the same for all ways to
/// make the token.
std::vector<int32_t> edges(const std::vector<MergeBoundaries::Merge>& merges,
                           const std::vector<bool>& initial,
                           int32_t MergeBoundaries::Merge::*part) {
  std::vector<int32_t> edge(initial.size(), -1);
  for (size_t id = 0; id < edge.size(); ++id) {
    if (initial[id]) edge[id] = static_cast<int32_t>(id);
  }
  // Merge lists are in the order of training, so one pass nearly always settles it and the second
  // finds nothing new; a token that stays at -1 can never be made.
  constexpr int kMaxPasses = 8;
  bool changed = true;
  for (int pass = 0; changed; ++pass) {
    if (pass == kMaxPasses) return {};
    changed = false;
    for (const auto& merge : merges) {
      const int32_t known = edge[static_cast<size_t>(merge.*part)];
      int32_t& made = edge[static_cast<size_t>(merge.made)];
      if (known < 0 || made == known) continue;
      if (made >= 0) return {};
      made = known;
      changed = true;
    }
  }
  return edge;
}

}  // namespace

MergeBoundaries::MergeBoundaries(const std::vector<Merge>& merges,
                                 const std::vector<bool>& initial) {
  const std::vector<int32_t> first = edges(merges, initial, &Merge::left);
  const std::vector<int32_t> last = edges(merges, initial, &Merge::right);
  if (first.empty() || last.empty()) return;
  joined_ = PairTable(merges.size());
  for (const Merge& merge : merges) {
    if (initial[static_cast<size_t>(merge.made)]) return;
    const int32_t left = last[static_cast<size_t>(merge.left)];
    const int32_t right = first[static_cast<size_t>(merge.right)];
    if (left >= 0 && right >= 0) joined_.set(left, right, {0, 0});
  }
  active_ = true;
}

}  // namespace ptq::tokenizer
