#pragma once
#include <cstdint>
#include <functional>
#include <vector>

#include <ATen/core/Tensor.h>

#include "ptq/calib/collector.h"
#include "ptq/model/causal_lm.h"

namespace ptq {

using BlockVisitor = std::function<void(Block& block, int64_t index)>;

/// Loads, visits and frees every block from `first` on in order.  The only loop over blocks from
/// first to last.
void forward_sweep(const CausalLM& model, const BlockVisitor& visit, int64_t first = 0);

/// The same from block `count` − 1 down to the first.  The only loop over blocks from last to
/// first.
void reverse_sweep(const CausalLM& model, const BlockVisitor& visit, int64_t count);

/// How a sweep walks over the calibration sequences.
struct SweepSettings {
  int64_t batch_tokens =
      2048;  ///< tokens that go through a block at a time (at least one whole sequence)
  int64_t activation_bytes =
      -1;  ///< limit for what is kept between stages; above it stages are replayed; -1: none
  std::function<void()> poll;  ///< called between batches; may throw to stop the run
};

/// Runs `body(first, count)` for the batches of whole sequences, in order, after a poll each.
void for_each_batch(int64_t sequences, int64_t seq, const SweepSettings& settings,
                    const std::function<void(int64_t first, int64_t count)>& body);

/// The residual stream in front of block 0: int64 [sequences, seq] -> float32 [sequences, seq,
/// hidden] where the model computes.
at::Tensor embed_sequences(const CausalLM& model, const at::Tensor& tokens,
                           const SweepSettings& settings);

/// Runs one block over all calibration sequences, stage by stage, so that every linear is
/// multiplied with every token once, with the weight it has when its stage is advanced.  What a
/// stage hands to the next is kept for all sequences; if that would exceed `activation_bytes`, the
/// block's earlier stages are replayed from its input instead (same results).
class StageRunner {
 public:
  /// `states`: float32 [sequences, seq, hidden], the block's input; overwritten by its output when
  /// the last stage advanced.
  StageRunner(const Block& block, at::Tensor& states, const SweepSettings& settings);

  /// What `statistics` say of the next stage's input over all sequences; throws std::logic_error if
  /// one of them needs gradients.  `reference`: the same block of the full-precision model, at the
  /// same stage, over the same sequences; null: none of them needs it.
  SiteStats collect(const StatisticSet& statistics, const StageRunner* reference = nullptr);

  /// Moves all sequences through the next stage with the weights its linears have now.
  void advance();

  /// True if stages are replayed rather than kept.
  bool replays() const { return replays_; }

  /// The most bytes that `block` keeps between stages for so many tokens: float32 of the widest
  /// carried tensor.
  static int64_t kept_bytes(const Block& block, int64_t tokens);

 private:
  /// The sequences first … first+count−1 in front of the next stage; needs no_grad.
  BlockState state_of(int64_t first, int64_t count) const;
  void for_each_state(
      const std::function<void(BlockState& state, int64_t first, int64_t count)>& body) const;

  const Block& block_;
  at::Tensor& states_;
  const SweepSettings& settings_;
  at::Tensor carried_;
  size_t stage_ = 0;
  bool replays_ = false;
};

/// What `statistics` say of the input of every stage of `block`, in order, in one pass over
/// `states`, float32 [sequences, seq, hidden], the block's input, which stays.
std::vector<SiteStats> collect_stages(const Block& block, const at::Tensor& states,
                                      const StatisticSet& statistics,
                                      const SweepSettings& settings);

/// Moves all sequences through the whole block.
void advance_block(const Block& block, at::Tensor& states, const SweepSettings& settings);

}  // namespace ptq
