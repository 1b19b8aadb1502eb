#include "ptq/eval/windows.h"

#include <algorithm>

#include <ATen/ATen.h>

#include "ptq/core/error.h"
#include "ptq/io/sha256.h"

namespace ptq {
namespace {

std::string text_of(int64_t number) {
  return std::to_string(number);
}

/// Windows [first, first + length) of `tokens`, side by side, all next tokens scored.
std::vector<Window> side_by_side(const std::vector<int64_t>& tokens, int64_t length) {
  std::vector<Window> windows;
  const auto end = static_cast<int64_t>(tokens.size());
  for (int64_t first = 0; first + length <= end; first += length)
    windows.push_back({{tokens.begin() + first, tokens.begin() + first + length}, 1});
  return windows;
}

std::vector<Window> llama_cpp_windows(const std::vector<int64_t>& tokens, int64_t length,
                                      std::optional<int64_t> bos) {
  std::vector<Window> windows = side_by_side(tokens, length);
  for (Window& window : windows) {
    if (bos) window.ids.front() = *bos;
    // The logits at length/2 are the first that count, and they predict the token after it.
    window.first_scored = length / 2 + 1;
  }
  return windows;
}

std::vector<Window> sliding_windows(const std::vector<int64_t>& tokens, int64_t length,
                                    int64_t stride) {
  std::vector<Window> windows;
  const auto end = static_cast<int64_t>(tokens.size());
  int64_t scored_to = 0;  // tokens in front of this one are no targets any more
  for (int64_t first = 0; scored_to < end; first += stride) {
    const int64_t last = std::min(first + length, end);
    Window window{{tokens.begin() + first, tokens.begin() + last}, 1};
    window.first_scored = std::max<int64_t>(1, scored_to - first);
    scored_to = last;
    // With stride = seqlen a tail of one token has nothing before it.
    if (window.scored_tokens() > 0) windows.push_back(std::move(window));
  }
  return windows;
}

void check_request(const PerplexityRequest& request) {
  const bool known = request.protocol == "gptq" || request.protocol == "llama.cpp" ||
                     request.protocol == "sliding";
  if (!known)
    throw ConfigError("unknown perplexity protocol \"" + request.protocol + "\"",
                      "choose gptq, llama.cpp or sliding");
  const int64_t shortest = request.protocol == "llama.cpp" ? 3 : 2;
  if (request.seqlen < shortest)
    throw ConfigError("seqlen is " + text_of(request.seqlen) + ", protocol " + request.protocol +
                      " needs at least " + text_of(shortest));
  if (request.protocol == "sliding" && (request.stride < 1 || request.stride > request.seqlen))
    throw ConfigError("stride is " + text_of(request.stride) +
                      ", must be in [1, seqlen = " + text_of(request.seqlen) + "]");
}

/// Keeps the first `wanted` windows.
void keep_first(WindowPlan& plan, int64_t wanted) {
  if (wanted == -1) return;
  if (wanted < 1)
    throw ConfigError("number of windows is " + text_of(wanted) + ", must be positive, or -1: all");
  if (wanted > plan.windows_available)
    throw ConfigError(text_of(wanted) + " windows were asked for, the text gives " +
                          text_of(plan.windows_available) + " of " + text_of(plan.seqlen) +
                          " tokens (protocol " + plan.protocol + ", " +
                          text_of(plan.tokens_available) + " tokens)",
                      "ask for fewer windows, or for shorter ones");
  plan.windows.resize(static_cast<size_t>(wanted));
}

}  // namespace

int64_t WindowPlan::scored_tokens() const {
  int64_t sum = 0;
  for (const Window& window : windows)
    sum += window.scored_tokens();
  return sum;
}

int64_t WindowPlan::tokens() const {
  int64_t sum = 0;
  for (const Window& window : windows)
    sum += static_cast<int64_t>(window.ids.size());
  return sum;
}

std::string WindowPlan::sha256() const {
  Sha256 hash;
  for (const Window& window : windows) {
    const int64_t head[2] = {static_cast<int64_t>(window.ids.size()), window.first_scored};
    hash.update(head, sizeof(head));
    hash.update(window.ids.data(), window.ids.size() * sizeof(int64_t));
  }
  return hash.hex();
}

WindowPlan make_windows(const std::vector<int64_t>& tokens, const PerplexityRequest& request,
                        std::optional<int64_t> bos) {
  check_request(request);
  const bool sliding = request.protocol == "sliding";
  const bool llama_cpp = request.protocol == "llama.cpp";
  const auto available = static_cast<int64_t>(tokens.size());
  const int64_t needed = llama_cpp ? 2 * request.seqlen : sliding ? 2 : request.seqlen;
  if (available < needed)
    throw ConfigError("the text has " + text_of(available) + " tokens, protocol " +
                          request.protocol + " with seqlen " + text_of(request.seqlen) +
                          " needs at least " + text_of(needed),
                      "use a longer text or a shorter seqlen");
  WindowPlan plan;
  plan.protocol = request.protocol;
  plan.stride = sliding ? request.stride : request.seqlen;
  plan.tokens_available = available;
  plan.windows = sliding     ? sliding_windows(tokens, request.seqlen, request.stride)
                 : llama_cpp ? llama_cpp_windows(tokens, request.seqlen, bos)
                             : side_by_side(tokens, request.seqlen);
  plan.seqlen = std::min(request.seqlen, available);
  plan.windows_available = static_cast<int64_t>(plan.windows.size());
  keep_first(plan, request.windows);
  return plan;
}

WindowPlan windows_of_rows(const at::Tensor& ids, int64_t windows) {
  if (ids.dim() != 2 || ids.size(0) < 1 || ids.size(1) < 2)
    throw ConfigError("rows of token ids have shape " + c10::str(ids.sizes()) +
                      ", at least [1, 2] is needed");
  const at::Tensor rows = ids.to(at::kLong).contiguous();
  WindowPlan plan;
  plan.protocol = "rows";
  plan.seqlen = rows.size(1);
  plan.tokens_available = rows.numel();
  plan.windows_available = rows.size(0);
  const int64_t* id = rows.data_ptr<int64_t>();
  for (int64_t row = 0; row < rows.size(0); ++row, id += rows.size(1))
    plan.windows.push_back({{id, id + rows.size(1)}, 1});
  keep_first(plan, windows);
  return plan;
}

}  // namespace ptq
