#pragma once
#include <string>

#include <ATen/core/Tensor.h>

#include "ptq/quant/scheme.h"
#include "ptq/sensitivity/estimator.h"

namespace ptq {

/// The way to the nearest point of a grid: W̃ − W, where W̃ is W rounded to nearest, computed in
/// float64.  Every group of `scheme.group_size` inputs of a row has its own grid of 2^bits points:
///  - asymmetric: scale = (max − min) / (2^bits − 1) with 0 inside [min, max], the zero point
///    rounded to an integer;
///  - symmetric: the value of largest magnitude gets code −2^(bits−1), so that no code is wasted;
///    the scale is negative where that value is positive.
/// Unlike a quantizer it does not round scales to what files hold: a definition must not depend on
/// the format.
class RoundingDirection : public Direction {
 public:
  /// Throws ConfigError for an impossible scheme and for one with lookup tables.
  explicit RoundingDirection(const QuantScheme& scheme);

  std::string key() const override;
  /// Throws UnsupportedError, naming the site, unless the group size divides its input width.
  at::Tensor of(const LinearSite& site, const at::Tensor& weight) const override;

 private:
  QuantScheme scheme_;
};

}  // namespace ptq
