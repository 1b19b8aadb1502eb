#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "config.h"
#include "normalizer.h"
#include "ptq/io/tokenizer.h"
#include "template.h"

namespace ptq::tokenizer {

/// What encodes the text between added tokens.
class TextModel {
 public:
  virtual ~TextModel() = default;
  /// Appends the ids of `text`, which is valid UTF-8 and not empty; `starts_input`: it is the
  /// beginning of what encode() was given.
  virtual void encode(std::string text, bool starts_input, std::vector<int64_t>& out) const = 0;
  /// The largest id plus one.
  virtual int64_t id_limit() const = 0;
};

/// Text → added tokens → normalizer → added tokens of normalized text → model → BOS and EOS.
class Pipeline final : public Tokenizer {
 public:
  /// `normalizer` may be null.
  Pipeline(std::unique_ptr<Normalizer> normalizer, std::unique_ptr<TextModel> model,
           const std::vector<AddedToken>& added, Template ends);

  std::vector<int64_t> encode(std::string_view text, bool special_tokens) const override;
  int64_t vocab_size() const override { return vocab_size_; }
  std::optional<int64_t> bos() const override;

 private:
  void encode_raw(std::string_view text, bool starts_input, std::vector<int64_t>& out) const;

  std::unique_ptr<Normalizer> normalizer_;
  std::unique_ptr<TextModel> model_;
  AddedTokenFinder raw_, normalized_;
  Template ends_;
  int64_t vocab_size_;
};

/// A tokenizer from tokenizer.json in `directory`; throws as Tokenizer::open.
std::unique_ptr<Tokenizer> open_json(const std::filesystem::path& directory, const Config& config);
/// A tokenizer from tokenizer.model (SentencePiece) in `directory`; throws as Tokenizer::open.
std::unique_ptr<Tokenizer> open_sentencepiece(const std::filesystem::path& directory,
                                              const Config& config);
/// A tokenizer from vocab.json and merges.txt in `directory`; throws as Tokenizer::open.
std::unique_ptr<Tokenizer> open_gpt2(const std::filesystem::path& directory, const Config& config);

}  // namespace ptq::tokenizer
