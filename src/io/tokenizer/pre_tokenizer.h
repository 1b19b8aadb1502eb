#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "json_view.h"
#include "text_regex.h"

namespace ptq::tokenizer {

/// Text on its way to the model: `spans` are the pieces of `text`, in order and not empty.
struct Pieces {
  std::string text;
  std::vector<Span> spans;
  bool starts_input;  ///< `text` is the beginning of what encode() was given

  std::string_view operator[](size_t index) const {
    return std::string_view(text).substr(spans[index].begin, spans[index].end - spans[index].begin);
  }
};

/// A step that splits text into the pieces that are encoded apart from each other.
class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  /// Splits each piece further, and rewrites the text where the step does that.
  virtual void apply(Pieces& pieces) const = 0;
};

/// Reads tokenizer.json's "pre_tokenizer", nested `depth` deep in Sequences; UnsupportedError for
/// a type that is not implemented, FormatError for a malformed one.
std::unique_ptr<PreTokenizer> make_pre_tokenizer(const JsonView& json, int depth = 0);

/// GPT-2's: splits by its pattern (with `use_regex`) and spells each byte as one character.
std::unique_ptr<PreTokenizer> make_byte_level(bool add_prefix_space, bool use_regex);

}  // namespace ptq::tokenizer
