#pragma once
#include <memory>
#include <mutex>
#include <string>

#include "bpe.h"
#include "pre_tokenizer.h"
#include "text_model.h"

namespace ptq::tokenizer {

/// A pre-tokenizer (may be null) and byte-pair encoding of its pieces.
class BpeTextModel final : public TextModel {
 public:
  BpeTextModel(std::unique_ptr<PreTokenizer> pre_tokenizer, Bpe bpe)
      : pre_tokenizer_(std::move(pre_tokenizer)), bpe_(std::move(bpe)) {}

  void encode(std::string text, bool starts_input, std::vector<int64_t>& out) const override;
  int64_t id_limit() const override { return bpe_.vocabulary().id_limit(); }
  const Vocabulary& vocabulary() const& { return bpe_.vocabulary(); }

 private:
  std::unique_ptr<PreTokenizer> pre_tokenizer_;
  Bpe bpe_;
  mutable std::mutex mutex_;  ///< of `cache_`; who does not get it at once uses a cache of its own
  mutable WordCache cache_;
};

}  // namespace ptq::tokenizer
