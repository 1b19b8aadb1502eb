#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace ptq::tokenizer {

/// Remembers the ids of words already encoded; forgets all when it has grown to its limit.
class WordCache {
 public:
  struct Ids {
    const int32_t* begin = nullptr;  ///< null: the word is not known
    const int32_t* end = nullptr;
  };

  /// Longer words are rare and are not worth remembering.
  static constexpr size_t kMaxWordBytes = 128;

  /// The ids of `word`; they stay valid until the next insert().
  Ids find(std::string_view word) const {
    if (slots_.empty()) return {};
    const Slot& slot = slots_[index_of(word, std::hash<std::string_view>()(word))];
    if (slot.hash == 0) return {};
    return {ids_.data() + slot.ids, ids_.data() + slot.ids + slot.ids_count};
  }

  /// Remembers [begin, end) as the ids of `word`, which is not known yet.
  void insert(std::string_view word, const int32_t* begin, const int32_t* end) {
    if (count_ * 2 >= slots_.size()) grow();
    const uint64_t hash = std::hash<std::string_view>()(word);
    slots_[index_of(word, hash)] = {
        hash | 1, static_cast<uint32_t>(words_.size()), static_cast<uint32_t>(word.size()),
        static_cast<uint32_t>(ids_.size()), static_cast<uint32_t>(end - begin)};
    words_ += word;
    ids_.insert(ids_.end(), begin, end);
    ++count_;
  }

 private:
  struct Slot {
    uint64_t hash = 0;  ///< odd; 0: the slot is free
    uint32_t word = 0, word_bytes = 0, ids = 0, ids_count = 0;
  };
  static constexpr size_t kFirstSlots = 1 << 12;
  /// Half a million slots: at most 262 144 words, in practice some 20 MiB.
  static constexpr size_t kMaxSlots = 1 << 19;

  size_t index_of(std::string_view word, uint64_t hash) const {
    size_t index = (hash ^ hash >> 32) & (slots_.size() - 1);
    for (;; index = (index + 1) & (slots_.size() - 1)) {
      const Slot& slot = slots_[index];
      if (slot.hash == 0) return index;
      const bool same = slot.hash == (hash | 1) &&
                        std::string_view(words_).substr(slot.word, slot.word_bytes) == word;
      if (same) return index;
    }
  }

  void grow() {
    const std::vector<Slot> old = std::move(slots_);
    if (old.size() == kMaxSlots) {
      *this = WordCache();
      slots_.resize(kFirstSlots);
      return;
    }
    slots_.assign(old.empty() ? kFirstSlots : old.size() * 2, Slot{});
    for (const Slot& slot : old) {
      if (slot.hash == 0) continue;
      const auto word = std::string_view(words_).substr(slot.word, slot.word_bytes);
      slots_[index_of(word, std::hash<std::string_view>()(word))] = slot;
    }
  }

  std::vector<Slot> slots_;
  std::string words_;
  std::vector<int32_t> ids_;
  size_t count_ = 0;
};

}  // namespace ptq::tokenizer
