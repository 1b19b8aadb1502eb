#include "byte_level.h"

#include "pattern.h"
#include "pre_tokenizer.h"
#include "utf8.h"

namespace ptq::tokenizer {
namespace {

std::array<std::string, 256> make_alphabet() {
  std::array<std::string, 256> alphabet;
  char32_t next = 0x100;
  for (unsigned byte = 0; byte < 256; ++byte) {
    const bool printable = (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte != 0xAD);
    append_char(printable ? byte : next++, alphabet[byte]);
  }
  return alphabet;
}

class ByteLevel final : public PreTokenizer {
 public:
  ByteLevel(bool add_prefix_space, bool use_regex)
      : add_prefix_space_(add_prefix_space), use_regex_(use_regex) {}

  void apply(Pieces& pieces) const override {
    if (add_prefix_space_) prefix(pieces);
    if (use_regex_) {
      std::vector<Span> spans;
      spans.reserve(pieces.text.size() / 4);
      for (size_t i = 0; i < pieces.spans.size(); ++i) {
        split(pattern_.stretches(pieces[i]), SplitBehavior::kIsolated, pieces.spans[i].begin,
              spans);
      }
      pieces.spans = std::move(spans);
    }
    spell(pieces);
  }

 private:
  static void prefix(Pieces& pieces) {
    Pieces result{"", {}, pieces.starts_input};
    for (size_t i = 0; i < pieces.spans.size(); ++i) {
      const size_t begin = result.text.size();
      if (pieces[i][0] != ' ') result.text += ' ';
      result.text += pieces[i];
      result.spans.push_back({begin, result.text.size()});
    }
    pieces = std::move(result);
  }

  static void spell(Pieces& pieces) {
    const auto& alphabet = byte_level_alphabet();
    std::string text;
    text.reserve(pieces.text.size() + pieces.text.size() / 4);
    for (Span& span : pieces.spans) {
      const size_t begin = text.size();
      for (size_t i = span.begin; i < span.end; ++i) {
        text += alphabet[static_cast<unsigned char>(pieces.text[i])];
      }
      span = {begin, text.size()};
    }
    pieces.text = std::move(text);
  }

  bool add_prefix_space_, use_regex_;
  Pattern pattern_ = Pattern::regex(
      R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)");
};

}  // namespace

const std::array<std::string, 256>& byte_level_alphabet() {
  static const std::array<std::string, 256> alphabet = make_alphabet();
  return alphabet;
}

std::unique_ptr<PreTokenizer> make_byte_level(bool add_prefix_space, bool use_regex) {
  return std::make_unique<ByteLevel>(add_prefix_space, use_regex);
}

}  // namespace ptq::tokenizer
