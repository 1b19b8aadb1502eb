#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "ptq/model/linear.h"

namespace ptq {

/// Linears of one block that read the same input tensor: one Gram matrix, one set of input scales.
struct Stage {
  std::string input;            ///< LinearSite::input of its linears
  std::vector<Linear> linears;  ///< in the order of the checkpoint
};

/// What a block carries from stage to stage for a batch of sequences.
struct BlockState {
  at::Tensor hidden;   ///< float32 [batch, seq, hidden]: the residual stream
  at::Tensor carried;  ///< float32 [batch, seq, n] or undefined: what the next stage reads if not
                       ///< made from `hidden`
};

/// What makes the input of a stage and can take a factor per channel: y = f(x / s) where the
/// function before was f(x).
struct InputProducer {
  std::string name;     ///< LinearSite::producer of the stage's linears
  at::Tensor channel;   ///< int64 [in]: the producer's channel behind each input channel; channels
                        ///< that come from one must share a factor
  std::string refusal;  ///< why it can take none; empty: it can
};

/// One resident transformer block: a chain of stages (q,k,v → o → gate,up → down).  The chain is
/// the only definition of the block's function; quantizers run it stage by stage, `forward` at
/// once, and autograd may record either. Const methods may be called from several threads.
class Block {
 public:
  virtual ~Block() = default;

  std::vector<Stage>& stages() & { return stages_; }
  const std::vector<Stage>& stages() const& { return stages_; }

  /// The input of stage `index`, float32 [batch, seq, in], from what ran before.
  virtual at::Tensor stage_input(size_t index, const BlockState& state) const = 0;

  /// Takes the outputs of stage `index`, one [batch, seq, out] a linear in `stages()` order, and
  /// moves `state` on; the state after the last stage holds the block's output in `hidden`.
  /// Without autograd it may write over `outputs`, never over what `state` held.
  virtual void accept(size_t index, std::vector<at::Tensor> outputs, BlockState& state) const = 0;

  /// True if the block's output is that of its last stage plus what does not depend on it: then no
  /// gradient depends on the values of that stage's outputs.
  virtual bool ends_in_sum() const { return false; }

  /// Gains and biases of the block's norms by checkpoint name, float32 [n]; to be changed in place.
  virtual std::map<std::string, at::Tensor*> norms() { return {}; }

  /// Where a factor per channel of the input of stage `index` can go, by what the architecture
  /// computes; of one that is a linear, the output rows.
  virtual InputProducer input_producer(size_t index) const;

  /// float32 [batch, seq, hidden] -> the block's output, same shape.
  at::Tensor forward(const at::Tensor& hidden) const;

  /// Runs stage `index` on `state` through its linears.
  void run_stage(size_t index, BlockState& state) const {
    run_stage(index, stage_input(index, state), state);
  }
  /// The same from the `input` that stage_input gave.
  void run_stage(size_t index, const at::Tensor& input, BlockState& state) const;

 protected:
  std::vector<Stage> stages_;
};

}  // namespace ptq
