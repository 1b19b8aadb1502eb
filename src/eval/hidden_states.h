#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "ptq/eval/windows.h"
#include "ptq/model/causal_lm.h"

namespace ptq {

/// Consecutive windows of equal length, which go through a block together.
struct Batch {
  size_t first = 0;  ///< index of its first window
  size_t count = 0;
  int64_t length = 0;  ///< tokens of each
  int64_t tokens() const { return static_cast<int64_t>(count) * length; }
};

/// All windows in order, in batches of at most `batch_tokens` tokens, at least one window each.
std::vector<Batch> make_batches(const std::vector<Window>& windows, int64_t batch_tokens);

/// The rows of a batch's hidden states [tokens, hidden] that predict a target, and the targets.
struct ScoredRows {
  at::Tensor rows;     ///< int64 [n]
  at::Tensor targets;  ///< int64 [n]
};
ScoredRows scored_rows(const std::vector<Window>& windows, const Batch& batch);

/// The residual streams of some batches, moved through a model block by block.
class HiddenStates {
 public:
  /// Embeds `batches` of `windows`; `name` is the model's in messages ("model", "reference").
  HiddenStates(const CausalLM& model, const std::vector<Window>& windows,
               std::vector<Batch> batches, std::string name);

  /// Runs all blocks; `after_batch(block)` is called after each batch in each.  Throws
  /// NumericalError naming window, position and block for a value that is not finite.
  void run(const std::function<void(int64_t block, const Batch& batch)>& after_batch);

  /// Hands over batch `index`: float32 [tokens, hidden]; its memory goes with the result.
  at::Tensor take(size_t index);

 private:
  void check_finite(size_t index, const std::string& step) const;

  const CausalLM& model_;
  std::vector<Batch> batches_;
  std::string name_;
  std::vector<at::Tensor> states_;  ///< float32 [windows, length, hidden], one a batch
};

}  // namespace ptq
