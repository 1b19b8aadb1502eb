#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

namespace ptq {

/// Tokens that go through a model on their own, positions from 0.  Every token from `first_scored`
/// on is a target, predicted from those before it.
struct Window {
  std::vector<int64_t> ids;
  int64_t first_scored = 1;  ///< at least 1: the first token has nothing before it
  int64_t scored_tokens() const { return static_cast<int64_t>(ids.size()) - first_scored; }
};

/// How a text's tokens are cut into windows (docs/evaluation.md has the protocols' sources).
struct PerplexityRequest {
  /// "gptq": windows side by side, all next tokens scored.  "llama.cpp": side by side, the first
  /// token replaced by BOS, the second half scored.  "sliding": windows overlap, every token is
  /// scored once.
  std::string protocol = "gptq";
  int64_t seqlen = 2048;  ///< tokens per window
  int64_t stride = 512;   ///< step of "sliding"; the others step by `seqlen`
  int64_t windows = -1;   ///< the first so many; -1: all
};

/// The windows of an evaluation and what they were cut by: all that a figure depends on but the
/// model.
struct WindowPlan {
  std::string protocol;           ///< as PerplexityRequest, or "rows": rows of ids from a file
  int64_t seqlen = 0;             ///< tokens of the longest window
  int64_t stride = 0;             ///< tokens from one window to the next; 0 for "rows"
  int64_t tokens_available = 0;   ///< in the text or file
  int64_t windows_available = 0;  ///< in the text or file
  std::vector<Window> windows;

  int64_t scored_tokens() const;
  int64_t tokens() const;  ///< fed to the model
  /// Digest of every window's ids and first target: equal for equal text, tokenizer and protocol.
  std::string sha256() const;
};

/// Cuts `tokens`, the ids of a whole text, into windows.  `bos`: the id that "llama.cpp" puts first
/// in every window; nothing if the model adds none.  Throws ConfigError for an unknown protocol, a
/// seqlen, stride or number of windows out of range, and a text too short, with the numbers.
WindowPlan make_windows(const std::vector<int64_t>& tokens, const PerplexityRequest& request,
                        std::optional<int64_t> bos);

/// One window for each row of `ids`, int64 [rows, length], all next tokens scored; the first
/// `windows` rows, -1: all.  Throws ConfigError for rows shorter than two tokens, no row, or fewer
/// rows than asked for.
WindowPlan windows_of_rows(const at::Tensor& ids, int64_t windows = -1);

}  // namespace ptq
