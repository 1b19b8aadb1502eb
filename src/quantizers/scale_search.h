#pragma once
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "channel_saliency.h"
#include "ptq/quantizers/quantizer.h"

namespace ptq::quantizer {

struct ScaleSearchSettings {
  ChannelSaliency saliency{"mean-magnitude"};
  bool pivots = true;         ///< with `feedback`: √ of the pivots of H in its place
  int64_t rows = 256;         ///< of a stage that judge all candidates
  int64_t finalists = 6;      ///< that the module's output judges
  bool search_grids = false;  ///< candidates are rounded to searched grids
  bool feedback = false;  ///< judged by what GPTQ is expected to leave, not by rounding to nearest
};

/// The best of the scales that were tried for a stage.
struct ScaleChoice {
  at::Tensor scale;  ///< float32 [factors]
  Json report;       ///< form, ratio, what judged, relative errors without and with
};

/// Finds the scale with which rounding the linears of stage `index` to nearest changes least.  All
/// candidates are judged by the error of the linears' outputs, tr(ΔW H ΔWᵀ) with the Gram matrix H
/// of their input, on some of the rows; the best of them, and no scale, by the output of the module
/// where that is not the linears' own.  With `feedback` all are judged by Σ step² · D_j / s_j² / 12
/// alone, the expected error of GPTQ with the pivots D of H.
/// `state`: some sequences in front of the stage.
ScaleChoice search_scale(const BlockContext& context, size_t index, const BlockState& state,
                         const ScaleSearchSettings& settings);

}  // namespace ptq::quantizer
