#include "sentencepiece_proto.h"

#include "ptq/core/error.h"

namespace ptq::tokenizer {
namespace {

/// Walks over the fields of one protocol buffer message.
class Fields {
 public:
  Fields(std::string_view bytes, const std::string& file) : bytes_(bytes), file_(file) {}

  /// Reads the next field; false at the end.
  bool next() {
    if (at_ == bytes_.size()) return false;
    const uint64_t tag = varint();
    number = tag >> 3;
    switch (tag & 7) {
      case 0:
        value = varint();
        return true;
      case 1:
        take(8);
        return true;
      case 2:
        content = take(varint());
        return true;
      case 5:
        take(4);
        return true;
      default:
        fail();
    }
  }

  uint64_t number = 0;
  uint64_t value = 0;        ///< of a varint field
  std::string_view content;  ///< of a length-delimited field

 private:
  [[noreturn]] void fail() const {
    throw FormatError(file_ + ": is not a SentencePiece model (no protocol buffer at its byte " +
                          std::to_string(at_) + ")",
                      "a tiktoken file of this name needs tokenizer.json beside it");
  }

  uint64_t varint() {
    uint64_t result = 0;
    for (int shift = 0; shift < 64 && at_ < bytes_.size(); shift += 7) {
      const auto byte = static_cast<unsigned char>(bytes_[at_++]);
      result |= static_cast<uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return result;
    }
    fail();
  }

  std::string_view take(uint64_t size) {
    if (size > bytes_.size() - at_) fail();
    const std::string_view result = bytes_.substr(at_, static_cast<size_t>(size));
    at_ += result.size();
    return result;
  }

  std::string_view bytes_;
  const std::string& file_;
  size_t at_ = 0;
};

}  // namespace

SentencePieceSpec read_sentencepiece_spec(std::string_view model, const std::string& file) {
  SentencePieceSpec spec;
  for (Fields fields(model, file); fields.next();) {
    if (fields.number == 2) {
      for (Fields trainer(fields.content, file); trainer.next();) {
        if (trainer.number == 3) spec.bpe = trainer.value == 2;
        if (trainer.number == 24) spec.whitespace_as_suffix = trainer.value != 0;
      }
    } else if (fields.number == 3) {
      for (Fields normalizer(fields.content, file); normalizer.next();) {
        if (normalizer.number == 2) spec.character_map = !normalizer.content.empty();
        if (normalizer.number == 4) spec.removes_extra_whitespace = normalizer.value != 0;
      }
    }
  }
  return spec;
}

std::string without_dummy_prefix(std::string model) {
  // A second normalizer_spec (field 3, two bytes long) is merged into the first one, by the rules
  // of protocol buffers: {add_dummy_prefix (field 3): 0}.
  return model.append("\x1A\x02\x18\x00", 4);
}

}  // namespace ptq::tokenizer
