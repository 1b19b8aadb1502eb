#include <mutex>

#include "ptq/core/error.h"
#include "sentencepiece_client.h"
#include "sentencepiece_proto.h"
#include "text_model.h"
#include "utf8.h"
#include "word_cache.h"

namespace ptq::tokenizer {
namespace {

constexpr std::string_view kMark = "\xE2\x96\x81";  // U+2581, how spaces are spelled in pieces

class SentencePieceModel final : public TextModel {
 public:
  SentencePieceModel(const std::string& model, const std::string& file, bool legacy)
      : prefixing_(model, file),
        plain_(without_dummy_prefix(model), file),
        legacy_(legacy),
        cuts_words_(can_cut_words(read_sentencepiece_spec(model, file))) {}

  void encode(std::string text, bool starts_input, std::vector<int64_t>& out) const override {
    const Processor& first = legacy_ || starts_input ? prefixing_ : plain_;
    if (!cuts_words_) {
      append(first, text, out);
      return;
    }
    const std::unique_lock<std::mutex> lock(mutex_, std::try_to_lock);
    WordCache own;
    WordCache& cache = lock ? cache_ : own;
    const std::string_view view = text;
    size_t end = word_end(view, 0);
    append(first, view.substr(0, end), out);
    for (size_t begin = end; begin < view.size(); begin = end) {
      end = word_end(view, begin);
      append_word(view.substr(begin, end - begin), cache, out);
    }
  }

  int64_t id_limit() const override { return prefixing_.size(); }

  /// The id of `token`, or -1.
  int32_t find(const std::string& token) const {
    const int id = prefixing_.find(token);
    return id >= 0 && id < prefixing_.size() && prefixing_.piece(id) == token ? id : -1;
  }

  const Processor& processor() const { return prefixing_; }

 private:
  /// Whether text may be cut before a space that follows another character: no piece reaches
  /// across, and nothing that depends on the neighbourhood happens to the characters before.
  bool can_cut_words(const SentencePieceSpec& spec) const {
    if (!spec.bpe || spec.whitespace_as_suffix || spec.character_map ||
        spec.removes_extra_whitespace || find(std::string(kMark)) < 0) {
      return false;
    }
    for (int id = 0; id < prefixing_.size(); ++id) {
      const std::string piece = prefixing_.piece(id);
      bool marks_only = true;
      for (size_t at = 0; at < piece.size();) {
        const bool mark = piece.compare(at, kMark.size(), kMark) == 0;
        if (mark && !marks_only) return false;
        marks_only = marks_only && mark;
        at += mark ? kMark.size() : 1;
      }
    }
    return true;
  }

  /// Where the word that begins at `begin` ends: before a space behind a character that is neither
  /// a space nor spelled like one.
  static size_t word_end(std::string_view text, size_t begin) {
    for (size_t at = text.find(' ', begin + 1); at != std::string_view::npos;
         at = text.find(' ', at + 1)) {
      const bool mark = at >= kMark.size() && text.substr(at - kMark.size(), kMark.size()) == kMark;
      if (text[at - 1] != ' ' && !mark) return at;
    }
    return text.size();
  }

  void append(const Processor& processor, std::string_view text, std::vector<int64_t>& out) const {
    const std::vector<int> ids = processor.encode(text);
    out.insert(out.end(), ids.begin(), ids.end());
  }

  void append_word(std::string_view word, WordCache& cache, std::vector<int64_t>& out) const {
    const WordCache::Ids known = cache.find(word);
    if (known.begin != nullptr) {
      out.insert(out.end(), known.begin, known.end);
      return;
    }
    const size_t before = out.size();
    append(plain_, word, out);
    if (word.size() > WordCache::kMaxWordBytes) return;
    const std::vector<int32_t> ids(out.begin() + static_cast<std::ptrdiff_t>(before), out.end());
    cache.insert(word, ids.data(), ids.data() + ids.size());
  }

  Processor prefixing_;  ///< as the model says: puts a space in front
  Processor plain_;      ///< does not
  bool legacy_, cuts_words_;
  mutable std::mutex mutex_;  ///< of `cache_`; who does not get it at once uses a cache of its own
  mutable WordCache cache_;
};

/// Fills in what the configuration leaves to the model: the names of BOS and EOS.
Config with_model_names(Config config, const Processor& processor) {
  const auto name = [&](const char* key, int id) {
    if (id < 0) return;
    AddedToken token;
    token.content = processor.piece(id);
    token.special = true;
    config.named.emplace(key, token);
  };
  name("bos_token", processor.bos_id());
  name("eos_token", processor.eos_id());
  name("unk_token", processor.unk_id());
  return config;
}

}  // namespace

std::unique_ptr<Tokenizer> open_sentencepiece(const std::filesystem::path& directory,
                                              const Config& config) {
  const std::string file = (directory / "tokenizer.model").string();
  const std::string bytes = read_bytes(file);
  auto model = std::make_unique<SentencePieceModel>(bytes, file, config.legacy);
  const Processor& processor = model->processor();
  AddedTokenList added([&model](const std::string& token) { return model->find(token); },
                       processor.size());
  const Config complete = with_model_names(config, processor);
  added.add(complete);
  for (int id = 0; id < processor.size(); ++id) {
    if (!processor.is_control(id)) continue;
    AddedToken token;
    token.content = processor.piece(id);
    token.special = true;
    if (!token.content.empty()) added.add(std::move(token), file);
  }
  Template ends = added.ends(complete);
  return std::make_unique<Pipeline>(nullptr, std::move(model), added.tokens(), std::move(ends));
}

}  // namespace ptq::tokenizer
