#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ptq/quantizers/quantizer.h"

namespace ptq::detail {

/// What `requant` is told beside the job.
struct RequantSettings {
  std::string base;                  ///< the quantizer of the dense part
  double outliers = 0;               ///< of all weights, percent: detached before it runs
  double significant = 0;            ///< likewise: detached after it
  int64_t steps = 1;                 ///< that these are found in
  bool requantize = false;           ///< the base runs once more, with them left out as well
  std::string ranking;               ///< by weight_ranking
  bool per_tensor = false;           ///< every linear gives up the same share of them
  int64_t nodes = 4;                 ///< gradients of an integral
  std::vector<double> exponents;     ///< of outlier_shares; of several the best is taken
  int64_t held_back = 0;             ///< calibration windows that judge between candidates
  int64_t gradient_windows = 0;      ///< of the others, for gradients; 0: all
  double target_bpw = 0;             ///< what both parts may take, bits a weight; 0: as they come
  std::vector<int64_t> group_sizes;  ///< to choose from under target_bpw; empty: the job's
  uint64_t seed = 0;                 ///< of the random ranking

  static RequantSettings read(Options& options);
  /// The base, with what `options`, by plug-in, has for it.
  std::unique_ptr<Quantizer> make_base(const Json& options) const;
  /// Whether a linear's share of the outliers depends on how much it matters.
  bool weighs() const;
  /// Whether more than one result is made, so that one must be chosen.
  bool chooses() const { return (outliers > 0 && exponents.size() > 1) || group_sizes.size() > 1; }
};

}  // namespace ptq::detail
