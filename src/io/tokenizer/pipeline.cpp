#include <algorithm>

#include "ptq/core/error.h"
#include "text_model.h"
#include "utf8.h"

namespace ptq::tokenizer {

Pipeline::Pipeline(std::unique_ptr<Normalizer> normalizer, std::unique_ptr<TextModel> model,
                   const std::vector<AddedToken>& added, Template ends)
    : normalizer_(std::move(normalizer)),
      model_(std::move(model)),
      ends_(std::move(ends)),
      vocab_size_(model_->id_limit()) {
  const auto add = [this](const AddedToken& token) {
    if (!token.normalized) {
      raw_.add(token.content, token);
    } else if (const std::string content =
                   normalizer_ ? normalizer_->apply(token.content) : token.content;
               !content.empty()) {
      normalized_.add(content, token);
    }
    vocab_size_ = std::max<int64_t>(vocab_size_, token.id + 1);
  };
  for (const AddedToken& token : added) {
    if (token.special) add(token);
  }
  for (const AddedToken& token : added) {
    if (!token.special) add(token);
  }
  for (const auto* ids : {&ends_.prefix, &ends_.suffix}) {
    for (const int64_t id : *ids)
      vocab_size_ = std::max(vocab_size_, id + 1);
  }
}

std::optional<int64_t> Pipeline::bos() const {
  if (ends_.prefix.empty()) return std::nullopt;
  return ends_.prefix.front();
}

std::vector<int64_t> Pipeline::encode(std::string_view text, bool special_tokens) const {
  constexpr size_t kMaxBytes = (size_t{1} << 31) - 1;
  if (text.size() > kMaxBytes) {
    throw ResourceError("a text of " + std::to_string(text.size()) +
                            " bytes is too long to be encoded at once; the limit is " +
                            std::to_string(kMaxBytes),
                        "split it into documents");
  }
  std::string repaired;
  if (valid_utf8_prefix(text) < text.size()) {
    repaired = replace_invalid_utf8(text);
    text = repaired;
  }
  std::vector<int64_t> out;
  if (special_tokens) out = ends_.prefix;
  out.reserve(out.size() + text.size() / 3 + 8);
  for (const Segment& segment : raw_.split(text)) {
    if (segment.id >= 0) {
      out.push_back(segment.id);
    } else {
      const Span& span = segment.span;
      encode_raw(text.substr(span.begin, span.end - span.begin), span.begin == 0, out);
    }
  }
  if (special_tokens) out.insert(out.end(), ends_.suffix.begin(), ends_.suffix.end());
  return out;
}

void Pipeline::encode_raw(std::string_view text, bool starts_input,
                          std::vector<int64_t>& out) const {
  std::string normal(text);
  if (normalizer_) normal = normalizer_->apply(std::move(normal));
  for (const Segment& segment : normalized_.split(normal)) {
    const Span& span = segment.span;
    if (segment.id >= 0) {
      out.push_back(segment.id);
    } else {
      model_->encode(normal.substr(span.begin, span.end - span.begin),
                     starts_input && span.begin == 0, out);
    }
  }
}

}  // namespace ptq::tokenizer
