#pragma once
#include <cstdint>

#include "hessian_factor.h"
#include "magr.h"
#include "ptq/core/options.h"

namespace ptq::quantizer {

/// What the options of `gptq` choose.
struct GptqSettings {
  HessianSettings hessian;
  bool weighted = false;       ///< the Hessian is that of weighted-gram, not of gram
  bool first_token = true;     ///< of every sequence is among those that the error is measured on
  bool corrects = false;       ///< the target is the full-precision model's output
  double most_drift = 0.3;     ///< of the correction, relative to the weight
  bool token_damping = false;  ///< more damping where the tokens are few
  bool search = true;          ///< grids are searched, not the full range
  bool importance = true;      ///< … with each column's error weighted by the Hessian's diagonal
  MagrSettings magr;           ///< what makes ranges smaller before the rounding
  bool refit = false;          ///< scales once more when the codes are known
  int64_t descent = 0;         ///< passes over the codes

  /// The statistics that `quantize` finds H and, to correct by, the cross product in.
  const char* gram() const { return first_token ? "gram" : "gram-after-first"; }
  const char* cross_gram() const { return first_token ? "cross-gram" : "cross-gram-after-first"; }

  /// True if something follows the rounding, or the error is not the solver's.
  bool improves() const { return refit || descent > 0 || magr.strength > 0; }
};

/// Reads the options; throws ConfigError for a wrong one.
GptqSettings read_gptq_settings(Options& options);

}  // namespace ptq::quantizer
