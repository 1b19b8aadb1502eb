#include "metaspace.h"

#include "utf8.h"

namespace ptq::tokenizer {
namespace {

enum class PrependScheme { kAlways, kFirst, kNever };

class Metaspace final : public PreTokenizer {
 public:
  Metaspace(std::string replacement, PrependScheme scheme, bool split)
      : replacement_(std::move(replacement)), scheme_(scheme), split_(split) {}

  void apply(Pieces& pieces) const override {
    Pieces result{"", {}, pieces.starts_input};
    result.text.reserve(pieces.text.size() + pieces.text.size() / 2);
    for (size_t i = 0; i < pieces.spans.size(); ++i) {
      const bool first = pieces.starts_input && pieces.spans[i].begin == 0;
      append(pieces[i], first, result);
    }
    pieces = std::move(result);
  }

 private:
  void append(std::string_view piece, bool first, Pieces& result) const {
    size_t begin = result.text.size();
    const bool marked = piece[0] == ' ' || piece.substr(0, replacement_.size()) == replacement_;
    const bool wanted =
        scheme_ == PrependScheme::kAlways || (scheme_ == PrependScheme::kFirst && first);
    if (wanted && !marked) result.text += replacement_;
    for (size_t at = 0; at < piece.size();) {
      const bool space = piece[at] == ' ';
      const size_t bytes = space ? 1 : decode_char(piece, at).bytes;
      const std::string_view spelled = space ? replacement_ : piece.substr(at, bytes);
      if (split_ && spelled == replacement_ && begin < result.text.size()) {
        result.spans.push_back({begin, result.text.size()});
        begin = result.text.size();
      }
      result.text += spelled;
      at += bytes;
    }
    result.spans.push_back({begin, result.text.size()});
  }

  std::string replacement_;
  PrependScheme scheme_;
  bool split_;
};

PrependScheme parse_scheme(const JsonView& json) {
  const auto legacy = json.find("add_prefix_space");
  const auto scheme = json.find("prepend_scheme");
  if (!scheme) return !legacy || legacy->flag() ? PrependScheme::kAlways : PrependScheme::kNever;
  const std::string& name = scheme->text();
  if (legacy && !legacy->flag() && name != "never") {
    scheme->fail("\"" + name + "\" contradicts add_prefix_space false");
  }
  if (name == "always") return PrependScheme::kAlways;
  if (name == "first") return PrependScheme::kFirst;
  if (name == "never") return PrependScheme::kNever;
  scheme->fail("must be always, first or never, is \"" + name + "\"");
}

}  // namespace

std::unique_ptr<PreTokenizer> make_metaspace(const JsonView& json) {
  const JsonView replacement = json.at("replacement");
  const std::string& text = replacement.text();
  if (text.empty() || decode_char(text, 0).bytes != text.size()) {
    replacement.fail("must be one character, is \"" + text + "\"");
  }
  return std::make_unique<Metaspace>(text, parse_scheme(json), json.flag("split", true));
}

}  // namespace ptq::tokenizer
