#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

namespace ptq {

/// Turns text into the token ids of one model's vocabulary; safe to use from several threads.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  /// The token ids of `text` (UTF-8), each in [0, vocab_size()).
  ///
  /// With `special_tokens`, BOS and EOS are added as transformers' `tokenizer(text)` adds them.
  /// Special tokens spelled out inside the text become their ids either way, as they do there.
  /// Bytes that are not UTF-8 are read as Python's `errors="replace"` does: each maximal invalid
  /// sequence becomes U+FFFD.  Throws ResourceError for texts of 2 GiB and more, FormatError where
  /// a character needs an unknown token that the vocabulary lacks.
  virtual std::vector<int64_t> encode(std::string_view text, bool special_tokens = true) const = 0;

  /// The largest token id plus one.
  virtual int64_t vocab_size() const = 0;

  /// The id that encode() puts first with `special_tokens`, if it puts one there.
  virtual std::optional<int64_t> bos() const = 0;

  /// Opens the tokenizer of a Hugging Face directory: tokenizer.json (BPE), else tokenizer.model
  /// (SentencePiece), else vocab.json with merges.txt (GPT-2's byte-level BPE, also OPT's).
  ///
  /// tokenizer.json means what the `tokenizers` library makes of it; `add_bos_token` and
  /// `add_eos_token` of tokenizer_config.json replace its post-processor, as in transformers 5.
  /// Throws FormatError naming the file, the JSON path and the fault, and UnsupportedError naming
  /// a component that is not implemented: none is ever ignored.
  static std::unique_ptr<Tokenizer> open(const std::filesystem::path& directory);
};

}  // namespace ptq
