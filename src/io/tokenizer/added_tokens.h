#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text_regex.h"

namespace ptq::tokenizer {

/// A token that is found in the text itself, before anything is split.
struct AddedToken {
  std::string content;
  int32_t id = -1;
  bool single_word = false;  ///< only where no word character touches it
  bool lstrip = false;       ///< takes the white space before it
  bool rstrip = false;       ///< takes the white space behind it
  bool normalized = false;   ///< is looked for in the normalized text
  bool special = false;
};

/// A stretch of text between added tokens (id -1), or one of them.
struct Segment {
  Span span;
  int32_t id;
};

/// Finds added tokens in text: the leftmost first, of these the longest.
class AddedTokenFinder {
 public:
  /// Looks for `content` (not empty) as `token`; the first token with that content wins.
  void add(std::string_view content, const AddedToken& token);
  bool empty() const { return tokens_.empty(); }
  /// The added tokens of `text` (valid UTF-8) and the stretches between them, in order.
  std::vector<Segment> split(std::string_view text) const;

 private:
  struct Edge {
    unsigned char byte;
    int32_t node;
  };
  struct Node {
    std::vector<Edge> edges;
    int32_t token = -1;
  };
  struct Match {
    size_t end = 0;
    int32_t token = -1;
  };
  int32_t child(int32_t node, unsigned char byte) const;
  Match longest_at(std::string_view text, size_t begin) const;

  std::vector<Node> trie_{1};
  std::array<bool, 256> begins_{};  ///< by byte: some token begins with it
  std::vector<AddedToken> tokens_;
};

}  // namespace ptq::tokenizer
