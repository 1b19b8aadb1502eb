#pragma once
#include <vector>

#include <ATen/core/Tensor.h>

#include "ptq/model/block.h"

namespace ptq::quantizer {

/// What other weights of a stage do to the output of its module: of attention as a whole for q, k
/// and v, of the MLP for gate and up.  The module ends with the stage that adds to the residual
/// stream.
class ModuleProbe {
 public:
  /// `state`: some sequences in front of stage `index` of `block`, which must outlive the probe.
  ModuleProbe(Block& block, size_t index, const BlockState& state);

  /// True if the module ends with the stage itself: its error is then that of its linears.
  bool ends_here() const { return ends_here_; }
  /// Σ of the squares of the module's output.
  double energy() const { return energy_; }
  /// Σ of the squares of what `weights`, float32 [out, in], one a linear of the stage, change of
  /// the module's output; the block keeps its own, also when this throws.
  double error(const std::vector<at::Tensor>& weights);

 private:
  at::Tensor run();

  Block& block_;
  size_t index_;
  const BlockState state_;
  at::Tensor input_, output_;
  bool ends_here_ = false;
  double energy_ = 0;
};

}  // namespace ptq::quantizer
