#include "ptq/sensitivity/rounding.h"

#include <algorithm>

#include <ATen/ATen.h>

#include "ptq/core/error.h"

namespace ptq {
namespace {

/// Elements that are held in float64 at a time: 8 MB a temporary.
constexpr int64_t kPartElements = int64_t{1} << 20;

at::Tensor one_where_zero(const at::Tensor& scale) {
  return scale.masked_fill(scale.eq(0), 1.0);
}

/// Rounded values of groups [count, length] in float64.
at::Tensor rounded(const at::Tensor& groups, const QuantScheme& scheme) {
  const at::Tensor low = groups.amin(1, /*keepdim=*/true).clamp_max(0);
  const at::Tensor high = groups.amax(1, /*keepdim=*/true).clamp_min(0);
  const double points = static_cast<double>(1 << scheme.bits);
  if (scheme.symmetric) {
    const at::Tensor extreme = at::where(high.ge(-low), high, low);
    const at::Tensor scale = one_where_zero(extreme * (-2.0 / points));
    return (groups / scale).round().clamp(-points / 2, points / 2 - 1) * scale;
  }
  const at::Tensor scale = one_where_zero((high - low) / (points - 1));
  const at::Tensor zero = (-low / scale).round();
  return (((groups / scale).round() + zero).clamp(0, points - 1) - zero) * scale;
}

}  // namespace

RoundingDirection::RoundingDirection(const QuantScheme& scheme) : scheme_(scheme) {
  scheme_.check();
  if (scheme_.lookup)
    throw ConfigError(
        scheme_.name() + " rounds to the values of a table, which a quantizer chooses",
        "ask a quantizer for its weights (--trial), or take schemes with grids");
}

std::string RoundingDirection::key() const {
  return "rounding " + scheme_.name();
}

at::Tensor RoundingDirection::of(const LinearSite& site, const at::Tensor& weight) const {
  const int64_t out = weight.size(0), in = weight.size(1), length = scheme_.group_length(in);
  if (in % length != 0)
    throw UnsupportedError(site.name + ": group size " + std::to_string(length) +
                               " does not divide the input width " + std::to_string(in),
                           "choose a divisor of the input width, or -1 for one group a row");
  at::Tensor delta = at::empty({out, in}, at::kFloat);
  const int64_t most = std::max<int64_t>(1, kPartElements / in);
  for (int64_t first = 0; first < out; first += most) {
    const int64_t count = std::min(most, out - first);
    const at::Tensor groups = weight.narrow(0, first, count).to(at::kDouble).reshape({-1, length});
    delta.narrow(0, first, count).copy_((rounded(groups, scheme_) - groups).view({count, in}));
  }
  return delta;
}

}  // namespace ptq
