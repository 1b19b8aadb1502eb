#include "bpe.h"

#include <cstdio>

#include "ptq/core/error.h"
#include "utf8.h"

namespace ptq::tokenizer {
namespace {

/// Pieces up to this many bytes are not searched for cuts: merging them whole is as fast.
constexpr size_t kUncutBytes = 32;

std::string byte_token(unsigned byte) {
  std::array<char, 8> text{};
  std::snprintf(text.data(), text.size(), "<0x%02X>", byte);
  return text.data();
}

}  // namespace

Bpe::Bpe(Vocabulary vocabulary, const std::vector<MergeRule>& merges, BpeOptions options,
         const std::string& where)
    : vocabulary_(std::move(vocabulary)), options_(std::move(options)), where_(where) {
  for (unsigned i = 0; i < ascii_id_.size(); ++i) {
    ascii_id_[i] = vocabulary_.find(std::string(1, static_cast<char>(i)));
  }
  for (unsigned i = 0; i < byte_id_.size(); ++i) {
    byte_id_[i] = options_.byte_fallback ? vocabulary_.find(byte_token(i)) : -1;
  }
  add_merges(merges, where);
}

void Bpe::add_merges(const std::vector<MergeRule>& merges, const std::string& where) {
  merges_ = PairTable(merges.size());
  std::vector<MergeBoundaries::Merge> made;
  made.reserve(merges.size());
  std::string token;
  const auto id_of = [&](std::string_view text, size_t rank) {
    const int32_t id = vocabulary_.find(text);
    if (id >= 0) return id;
    throw FormatError(where + "[" + std::to_string(rank) + "]: \"" + std::string(text) +
                      "\" is not in the vocabulary");
  };
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    const auto& [left, right] = merges[rank];
    token.assign(left).append(right);
    made.push_back({id_of(left, rank), id_of(right, rank), id_of(token, rank)});
    merges_.set(made.back().left, made.back().right,
                {static_cast<int32_t>(rank), made.back().made});
  }
  // A piece that is found whole must not be cut before it is looked up.
  if (options_.ignore_merges) return;
  std::vector<bool> initial(static_cast<size_t>(vocabulary_.id_limit()));
  for (size_t id = 0; id < initial.size(); ++id) {
    const std::string& text = vocabulary_.tokens()[id];
    initial[id] = !text.empty() && decode_char(text, 0).bytes == text.size();
  }
  const int32_t unknown = options_.unk_token ? vocabulary_.find(*options_.unk_token) : -1;
  if (unknown >= 0) initial[static_cast<size_t>(unknown)] = true;
  for (const int32_t id : byte_id_) {
    if (id >= 0) initial[static_cast<size_t>(id)] = true;
  }
  boundaries_ = MergeBoundaries(made, initial);
}

int32_t Bpe::char_id(std::string_view character) const {
  return character.size() == 1 ? ascii_id_[static_cast<unsigned char>(character[0])]
                               : vocabulary_.find(character);
}

void Bpe::encode(std::string_view piece, WordCache& cache, std::vector<int64_t>& out) const {
  if (piece.size() <= kUncutBytes || !boundaries_.active()) return encode_word(piece, cache, out);
  size_t begin = 0;
  // Next to characters outside the vocabulary nothing is cut: unknown tokens may be fused.
  int32_t before = -1;
  for (size_t at = 0; at < piece.size();) {
    const size_t bytes = decode_char(piece, at).bytes;
    const int32_t id = char_id(piece.substr(at, bytes));
    if (before >= 0 && id >= 0 && boundaries_.cut(before, id)) {
      encode_word(piece.substr(begin, at - begin), cache, out);
      begin = at;
    }
    before = id;
    at += bytes;
  }
  encode_word(piece.substr(begin), cache, out);
}

void Bpe::encode_word(std::string_view word, WordCache& cache, std::vector<int64_t>& out) const {
  const WordCache::Ids known = cache.find(word);
  if (known.begin != nullptr) {
    out.insert(out.end(), known.begin, known.end);
    return;
  }
  std::vector<int32_t> symbols;
  const int32_t whole = options_.ignore_merges ? vocabulary_.find(word) : -1;
  if (whole >= 0) {
    symbols = {whole};
  } else {
    symbols = symbols_of(word);
    apply_merges(merges_, symbols);
  }
  if (word.size() <= WordCache::kMaxWordBytes) {
    cache.insert(word, symbols.data(), symbols.data() + symbols.size());
  }
  out.insert(out.end(), symbols.begin(), symbols.end());
}

std::vector<int32_t> Bpe::symbols_of(std::string_view word) const {
  std::vector<int32_t> symbols;
  symbols.reserve(word.size());
  bool unknown = false;
  for (size_t at = 0; at < word.size();) {
    const std::string_view character = word.substr(at, decode_char(word, at).bytes);
    at += character.size();
    const int32_t id = char_id(character);
    if (id >= 0) {
      if (unknown) symbols.push_back(unknown_id());
      unknown = false;
      symbols.push_back(id);
    } else if (!spell_bytes(character, symbols) && options_.unk_token) {
      // As the tokenizers library: an unknown token is held back until a known character comes, and
      // bytes do not count as such.  Without an unknown token the character is dropped.
      if (unknown && !options_.fuse_unk) symbols.push_back(unknown_id());
      unknown = true;
    }
  }
  if (unknown) symbols.push_back(unknown_id());
  return symbols;
}

bool Bpe::spell_bytes(std::string_view character, std::vector<int32_t>& symbols) const {
  for (const char c : character) {
    if (byte_id_[static_cast<unsigned char>(c)] < 0) return false;
  }
  for (const char c : character)
    symbols.push_back(byte_id_[static_cast<unsigned char>(c)]);
  return true;
}

int32_t Bpe::unknown_id() const {
  const int32_t id = vocabulary_.find(*options_.unk_token);
  if (id >= 0) return id;
  throw FormatError(where_ + ": a character needs the unknown token \"" + *options_.unk_token +
                    "\", which is not in the vocabulary");
}

}  // namespace ptq::tokenizer
