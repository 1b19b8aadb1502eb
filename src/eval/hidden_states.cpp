#include "hidden_states.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <ATen/ATen.h>

#include "ptq/calib/sweep.h"
#include "ptq/core/error.h"

namespace ptq {
namespace {

/// The ids of a batch's windows, int64 [windows, length].
at::Tensor batch_ids(const std::vector<Window>& windows, const Batch& batch) {
  at::Tensor ids = at::empty({static_cast<int64_t>(batch.count), batch.length}, at::kLong);
  int64_t* row = ids.data_ptr<int64_t>();
  for (size_t i = 0; i < batch.count; ++i, row += batch.length)
    std::copy_n(windows[batch.first + i].ids.begin(), batch.length, row);
  return ids;
}

/// Prepares the linears of `block` for several batches; one gains nothing.
std::vector<std::shared_ptr<void>> prepare_linears(const Block& block,
                                                   const std::vector<Batch>& batches) {
  std::vector<std::shared_ptr<void>> prepared;
  if (batches.size() < 2) return prepared;
  int64_t rows = 0;
  for (const Batch& batch : batches)
    rows = std::max(rows, batch.tokens());
  for (const Stage& stage : block.stages())
    for (const Linear& linear : stage.linears)
      prepared.push_back(linear.prepare(rows));
  return prepared;
}

}  // namespace

std::vector<Batch> make_batches(const std::vector<Window>& windows, int64_t batch_tokens) {
  std::vector<Batch> batches;
  for (size_t i = 0; i < windows.size(); ++i) {
    const auto length = static_cast<int64_t>(windows[i].ids.size());
    const bool joins = !batches.empty() && batches.back().length == length &&
                       batches.back().tokens() + length <= batch_tokens;
    if (joins)
      ++batches.back().count;
    else
      batches.push_back({i, 1, length});
  }
  return batches;
}

ScoredRows scored_rows(const std::vector<Window>& windows, const Batch& batch) {
  std::vector<int64_t> rows, targets;
  for (size_t i = 0; i < batch.count; ++i) {
    const Window& window = windows[batch.first + i];
    for (int64_t target = window.first_scored; target < batch.length; ++target) {
      rows.push_back(static_cast<int64_t>(i) * batch.length + target - 1);
      targets.push_back(window.ids[static_cast<size_t>(target)]);
    }
  }
  return {at::tensor(rows, at::kLong), at::tensor(targets, at::kLong)};
}

HiddenStates::HiddenStates(const CausalLM& model, const std::vector<Window>& windows,
                           std::vector<Batch> batches, std::string name)
    : model_(model), batches_(std::move(batches)), name_(std::move(name)) {
  for (size_t i = 0; i < batches_.size(); ++i) {
    states_.push_back(model_.embed(batch_ids(windows, batches_[i])));
    check_finite(i, "the embedding");
  }
}

void HiddenStates::run(const std::function<void(int64_t block, const Batch& batch)>& after_batch) {
  forward_sweep(model_, [&](const Block& block, int64_t index) {
    const auto prepared = prepare_linears(block, batches_);
    for (size_t i = 0; i < batches_.size(); ++i) {
      states_[i] = block.forward(states_[i]);
      check_finite(i, "block " + std::to_string(index));
      after_batch(index, batches_[i]);
    }
  });
}

at::Tensor HiddenStates::take(size_t index) {
  return std::exchange(states_[index], {}).reshape({batches_[index].tokens(), -1});
}

void HiddenStates::check_finite(size_t index, const std::string& step) const {
  // One fast pass: a sum is finite unless an addend is not, or the values are beyond float32's
  // range anyway.
  if (std::isfinite(states_[index].sum().item<float>())) return;
  const at::Tensor bad = states_[index].isfinite().logical_not().any(-1).reshape(-1).nonzero();
  if (bad.numel() == 0) return;
  const int64_t row = bad[0].item<int64_t>();
  const int64_t window = static_cast<int64_t>(batches_[index].first) + row / batches_[index].length;
  throw NumericalError("the output of " + step + " of the " + name_ + " is not finite in window " +
                           std::to_string(window) + " at position " +
                           std::to_string(row % batches_[index].length),
                       "the checkpoint may be damaged; try ptq verify");
}

}  // namespace ptq
