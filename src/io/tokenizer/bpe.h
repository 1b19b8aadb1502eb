#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "merge_boundaries.h"
#include "pair_table.h"
#include "vocabulary.h"
#include "word_cache.h"

namespace ptq::tokenizer {

/// How a BPE model treats what its vocabulary lacks.
struct BpeOptions {
  std::optional<std::string> unk_token;
  bool fuse_unk = false;       ///< a run of unknown characters is one unknown token
  bool byte_fallback = false;  ///< an unknown character is spelled as <0xNN> bytes
  bool ignore_merges = false;  ///< a piece that is itself a token is not built by merges
};

/// Two tokens that merge, as the file spells them.
using MergeRule = std::pair<std::string_view, std::string_view>;

/// Byte-pair encoding: characters, joined pair by pair in the order of the merge list.
class Bpe {
 public:
  /// Throws FormatError ("`where`: …") for a merge whose parts or result are not tokens.
  Bpe(Vocabulary vocabulary, const std::vector<MergeRule>& merges, BpeOptions options,
      const std::string& where);

  const Vocabulary& vocabulary() const& { return vocabulary_; }

  /// Appends the ids of `piece` (valid UTF-8) to `out`.  Throws FormatError if it needs the unknown
  /// token and the vocabulary lacks that.
  void encode(std::string_view piece, WordCache& cache, std::vector<int64_t>& out) const;

 private:
  void add_merges(const std::vector<MergeRule>& merges, const std::string& where);
  int32_t char_id(std::string_view character) const;
  void encode_word(std::string_view word, WordCache& cache, std::vector<int64_t>& out) const;
  std::vector<int32_t> symbols_of(std::string_view word) const;
  bool spell_bytes(std::string_view character, std::vector<int32_t>& symbols) const;
  int32_t unknown_id() const;

  Vocabulary vocabulary_;
  BpeOptions options_;
  std::string where_;
  PairTable merges_;
  MergeBoundaries boundaries_;
  std::array<int32_t, 128> ascii_id_;
  std::array<int32_t, 256> byte_id_;
};

/// Merges `symbols` in place as `merges` says: the lowest rank first, of these the leftmost.
void apply_merges(const PairTable& merges, std::vector<int32_t>& symbols);

}  // namespace ptq::tokenizer
