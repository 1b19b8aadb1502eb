#include "added_tokens.h"

#include <algorithm>

#include "utf8.h"

namespace ptq::tokenizer {
namespace {

bool alone(std::string_view text, const Span& match) {
  const bool before =
      match.begin > 0 && is_word(decode_char(text, previous_char(text, match.begin)).code);
  const bool after = match.end < text.size() && is_word(decode_char(text, match.end).code);
  return !before && !after;
}

size_t skip_spaces(std::string_view text, size_t at) {
  while (at < text.size()) {
    const Char c = decode_char(text, at);
    if (!is_space(c.code)) break;
    at += c.bytes;
  }
  return at;
}

size_t skip_spaces_back(std::string_view text, size_t at, size_t limit) {
  while (at > limit) {
    const size_t last = previous_char(text, at);
    if (!is_space(decode_char(text, last).code)) break;
    at = last;
  }
  return at;
}

}  // namespace

void AddedTokenFinder::add(std::string_view content, const AddedToken& token) {
  begins_[static_cast<unsigned char>(content[0])] = true;
  int32_t node = 0;
  for (const char c : content) {
    const auto byte = static_cast<unsigned char>(c);
    int32_t next = child(node, byte);
    if (next < 0) {
      next = static_cast<int32_t>(trie_.size());
      trie_[static_cast<size_t>(node)].edges.push_back({byte, next});
      trie_.emplace_back();
    }
    node = next;
  }
  int32_t& end = trie_[static_cast<size_t>(node)].token;
  if (end < 0) end = static_cast<int32_t>(tokens_.size());
  tokens_.push_back(token);
}

int32_t AddedTokenFinder::child(int32_t node, unsigned char byte) const {
  for (const Edge& edge : trie_[static_cast<size_t>(node)].edges) {
    if (edge.byte == byte) return edge.node;
  }
  return -1;
}

AddedTokenFinder::Match AddedTokenFinder::longest_at(std::string_view text, size_t begin) const {
  Match match;
  int32_t node = 0;
  for (size_t at = begin; at < text.size(); ++at) {
    node = child(node, static_cast<unsigned char>(text[at]));
    if (node < 0) break;
    const int32_t token = trie_[static_cast<size_t>(node)].token;
    if (token >= 0) match = {at + 1, token};
  }
  return match;
}

std::vector<Segment> AddedTokenFinder::split(std::string_view text) const {
  std::vector<Segment> segments;
  size_t done = 0;
  for (size_t at = 0; at < text.size() && !tokens_.empty();) {
    const bool possible = begins_[static_cast<unsigned char>(text[at])];
    const Match match = possible ? longest_at(text, at) : Match{};
    if (match.token < 0) {
      ++at;
      continue;
    }
    Span span{at, match.end};
    at = match.end;
    const AddedToken& token = tokens_[static_cast<size_t>(match.token)];
    if (token.single_word && !alone(text, span)) continue;
    if (token.lstrip) span.begin = skip_spaces_back(text, span.begin, std::min(done, span.begin));
    if (token.rstrip) span.end = skip_spaces(text, span.end);
    if (done < span.begin) segments.push_back({{done, span.begin}, -1});
    segments.push_back({span, token.id});
    done = span.end;
  }
  if (done < text.size()) segments.push_back({{done, text.size()}, -1});
  return segments;
}

}  // namespace ptq::tokenizer
