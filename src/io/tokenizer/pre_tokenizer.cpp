#include "pre_tokenizer.h"

#include "metaspace.h"
#include "pattern.h"
#include "utf8.h"

namespace ptq::tokenizer {
namespace {

/// Splits by delimiters that a pattern finds.
class Split final : public PreTokenizer {
 public:
  Split(Pattern pattern, SplitBehavior behavior, bool invert)
      : pattern_(std::move(pattern)), behavior_(behavior), invert_(invert) {}

  void apply(Pieces& pieces) const override {
    std::vector<Span> spans;
    spans.reserve(pieces.text.size() / 4);
    for (size_t i = 0; i < pieces.spans.size(); ++i) {
      std::vector<Stretch> stretches = pattern_.stretches(pieces[i]);
      if (invert_) {
        for (Stretch& stretch : stretches)
          stretch.delimiter = !stretch.delimiter;
      }
      split(stretches, behavior_, pieces.spans[i].begin, spans);
    }
    pieces.spans = std::move(spans);
  }

 private:
  Pattern pattern_;
  SplitBehavior behavior_;
  bool invert_;
};

/// Splits by delimiters of one character each.
class CharSplit final : public PreTokenizer {
 public:
  using IsDelimiter = bool (*)(char32_t);

  CharSplit(IsDelimiter is_delimiter, SplitBehavior behavior)
      : is_delimiter_(is_delimiter), behavior_(behavior) {}

  void apply(Pieces& pieces) const override {
    std::vector<Span> spans;
    for (size_t i = 0; i < pieces.spans.size(); ++i) {
      split(stretches_by(pieces[i], is_delimiter_), behavior_, pieces.spans[i].begin, spans);
    }
    pieces.spans = std::move(spans);
  }

 private:
  IsDelimiter is_delimiter_;
  SplitBehavior behavior_;
};

std::unique_ptr<PreTokenizer> split_at(bool (*is_delimiter)(char32_t), SplitBehavior behavior) {
  return std::make_unique<CharSplit>(is_delimiter, behavior);
}

/// The runs of word characters, and the runs of what is neither word nor space (\w+|[^\w\s]+).
class Whitespace final : public PreTokenizer {
 public:
  void apply(Pieces& pieces) const override {
    std::vector<Span> spans;
    for (size_t i = 0; i < pieces.spans.size(); ++i)
      split_words(pieces, pieces.spans[i], spans);
    pieces.spans = std::move(spans);
  }

 private:
  enum class Kind { kSpace, kWord, kOther };

  static void split_words(const Pieces& pieces, const Span& piece, std::vector<Span>& spans) {
    Kind before = Kind::kSpace;
    for (size_t at = piece.begin; at < piece.end;) {
      const Char c = decode_char(pieces.text, at);
      const Kind kind = is_word(c.code)    ? Kind::kWord
                        : is_space(c.code) ? Kind::kSpace
                                           : Kind::kOther;
      if (kind != Kind::kSpace && kind == before) {
        spans.back().end = at + c.bytes;
      } else if (kind != Kind::kSpace) {
        spans.push_back({at, at + c.bytes});
      }
      before = kind;
      at += c.bytes;
    }
  }
};

class Sequence final : public PreTokenizer {
 public:
  explicit Sequence(std::vector<std::unique_ptr<PreTokenizer>> steps) : steps_(std::move(steps)) {}

  void apply(Pieces& pieces) const override {
    for (const auto& step : steps_)
      step->apply(pieces);
  }

 private:
  std::vector<std::unique_ptr<PreTokenizer>> steps_;
};

std::unique_ptr<PreTokenizer> make_sequence(const JsonView& list, int depth) {
  std::vector<std::unique_ptr<PreTokenizer>> steps;
  for (size_t i = 0; i < list.array_size(); ++i) {
    steps.push_back(make_pre_tokenizer(list.at(i), depth + 1));
  }
  return std::make_unique<Sequence>(std::move(steps));
}

}  // namespace

std::unique_ptr<PreTokenizer> make_pre_tokenizer(const JsonView& json, int depth) {
  if (depth > kMaxNesting)
    json.fail("is nested more than " + std::to_string(kMaxNesting) + " deep");
  const std::string& type = json.at("type").text();
  if (type == "Sequence") return make_sequence(json.at("pretokenizers"), depth);
  if (type == "Split") {
    return std::make_unique<Split>(Pattern::parse(json.at("pattern")),
                                   parse_behavior(json.at("behavior")), json.flag("invert", false));
  }
  if (type == "ByteLevel") {
    return make_byte_level(json.flag("add_prefix_space", true), json.flag("use_regex", true));
  }
  if (type == "Metaspace") return make_metaspace(json);
  if (type == "Digits") {
    const bool each = json.flag("individual_digits", false);
    return split_at(is_numeric, each ? SplitBehavior::kIsolated : SplitBehavior::kContiguous);
  }
  if (type == "Punctuation") {
    const auto behavior = json.find("behavior");
    return split_at(is_punctuation,
                    behavior ? parse_behavior(*behavior) : SplitBehavior::kIsolated);
  }
  if (type == "WhitespaceSplit") return split_at(is_space, SplitBehavior::kRemoved);
  if (type == "Whitespace") return std::make_unique<Whitespace>();
  json.unsupported("pre-tokenizer \"" + type + "\"");
}

}  // namespace ptq::tokenizer
