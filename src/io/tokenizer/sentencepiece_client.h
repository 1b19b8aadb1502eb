#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "sentencepiece_api.h"

namespace ptq::tokenizer {

/// A model of the SentencePiece library.
///
/// Debian's libsentencepiece exports the Protocol Buffers 3.14 it was built with, and its LibTorch
/// needs 3.21: linked into one program, either takes the other's functions and crashes before
/// main().  So the library is opened only when a model needs it, in a symbol scope of its own.
class Processor {
 public:
  /// Throws FormatError starting with `file` if `model` is no SentencePiece model, UnsupportedError
  /// if the library cannot be opened.
  Processor(const std::string& model, const std::string& file);

  int size() const { return api_.size(processor_.get()); }
  bool is_control(int id) const { return api_.is_control(processor_.get(), id); }
  int bos_id() const { return api_.bos(processor_.get()); }
  int eos_id() const { return api_.eos(processor_.get()); }
  int unk_id() const { return api_.unk(processor_.get()); }
  /// The spelling of token `id`, in [0, size()).
  std::string piece(int id) const;
  /// The id of `piece`, or that of the unknown piece.
  int find(std::string_view piece) const {
    return api_.find(processor_.get(), piece.data(), piece.size());
  }
  /// The ids of `text`.  Throws FormatError starting with `file`.
  std::vector<int> encode(std::string_view text) const;

 private:
  std::string file_;
  const SentencePieceApi& api_;
  std::unique_ptr<void, void (*)(void*)> processor_;
};

}  // namespace ptq::tokenizer
