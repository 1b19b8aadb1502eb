#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "learned_rounding.h"
#include "ptq/quantizers/quantizer.h"

namespace ptq::quantizer {

/// What an error of the block's output counts.
enum class BlockLoss {
  kSquared,   ///< its square
  kRelative,  ///< its square over the mean square of the token's target, as the next norm sees it
  kFisher,    ///< its square times the mean squared loss gradient of its channel (BRECQ)
};

/// How to learn.
struct TunerSettings {
  int64_t iterations = 0;
  int64_t batch = 0;      ///< windows a step sees
  double rate = 1;        ///< of the first step, times 1 / iterations code units; falls to 0
  double scale_rate = 1;  ///< likewise, relative to the scale
  Optimizer optimizer = Optimizer::kAdam;
  BlockLoss loss = BlockLoss::kSquared;
  uint64_t seed = 0;  ///< of the order of the windows
};

/// What tuning found.  Losses are those of the windows that no step saw, relative to the energy of
/// the target.
struct TunedBlock {
  std::map<std::string, QuantizedTensor> weights;  ///< by site
  double loss_before = 0, loss = 0;                ///< loss <= loss_before
  int64_t iteration = 0;                           ///< after which `weights` stood; 0: the start
  int64_t heldout = 0;                             ///< windows that no step saw
};

/// Why kFisher has no weights for the output of `block`, or nothing.
std::optional<std::string> fisher_refusal(const Block& block);

/// Learns the rounding of all quantized linears of a block together, by what they do to its output,
/// and keeps the best of what was seen on the last eighth of the windows.  Leaves the block with
/// the weights it returns.  Throws NumericalError if the loss is not finite at the start or
/// kFisher's weights are not, UnsupportedError for kFisher where no linear's output is added to the
/// block's; std::logic_error if there are fewer than two windows.
TunedBlock tune_rounding(const RefineContext& context, const TunerSettings& settings);

}  // namespace ptq::quantizer
