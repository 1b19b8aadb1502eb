#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace ptq::tokenizer {

/// What the library does not tell of a SentencePiece model (sentencepiece_model.proto).
struct SentencePieceSpec {
  bool bpe = false;                      ///< TrainerSpec.model_type
  bool whitespace_as_suffix = false;     ///< TrainerSpec.treat_whitespace_as_suffix
  bool character_map = false;            ///< NormalizerSpec.precompiled_charsmap is not empty
  bool removes_extra_whitespace = true;  ///< NormalizerSpec.remove_extra_whitespaces
};

/// Reads the specification out of a serialized ModelProto; FormatError ("`file`: …") if the bytes
/// are not a protocol buffer.
SentencePieceSpec read_sentencepiece_spec(std::string_view model, const std::string& file);

/// `model` with NormalizerSpec.add_dummy_prefix set to false.
std::string without_dummy_prefix(std::string model);

}  // namespace ptq::tokenizer
