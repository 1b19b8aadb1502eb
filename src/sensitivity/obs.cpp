// Optimal Brain Surgeon (Hassibi, Stork, 1993): deleting weight j of a row while its
// other weights make up for it as well as they can costs w_j² / (2 [H⁻¹]_jj).  H is the Hessian of
// the linear's own output error ½‖ΔW Xᵀ‖², as GPTQ has it: XᵀX plus damping.
#include <algorithm>
#include <cmath>
#include <sstream>
#include <tuple>

#include <ATen/ATen.h>

#include "channel_sums.h"
#include "ptq/core/error.h"
#include "ptq/sensitivity/estimator.h"

namespace ptq::estimator {
namespace {

/// float64 [in]: the diagonal of the inverse of L Lᵀ, the squared column norms of L⁻¹, in blocks of
/// columns so that L⁻¹ is never held whole.
at::Tensor inverse_diagonal_of(const at::Tensor& factor) {
  constexpr int64_t kBlock = 256;
  const int64_t n = factor.size(0);
  at::Tensor diagonal = at::empty({n}, at::kDouble);
  for (int64_t first = 0; first < n; first += kBlock) {
    const int64_t count = std::min(kBlock, n - first), below = n - first;
    const at::Tensor corner = factor.slice(0, first).slice(1, first);
    const at::Tensor unit = at::eye(below, count, at::kDouble);
    const at::Tensor columns = at::linalg_solve_triangular(corner, unit, /*upper=*/false);
    diagonal.narrow(0, first, count).copy_(columns.square().sum(0));
  }
  return diagonal;
}

class OptimalBrainSurgeon : public SensitivityEstimator {
 public:
  explicit OptimalBrainSurgeon(double damping) : damping_(damping) {}

  std::vector<std::string> statistics() const override { return {"gram"}; }
  std::string unit() const override {
    return "half squared output error per token if set to 0, others adjusted";
  }

  at::Tensor channel_scores(const SiteView& site) const override {
    return squared_columns(site.weight) * cost(site);
  }
  at::Tensor weight_scores(const SiteView& site) const override {
    return site.weight.to(at::kDouble).square() * cost(site);
  }

 private:
  /// float64 [in]: the cost of a deleted weight of size 1.
  at::Tensor cost(const SiteView& site) const {
    std::ostringstream key;
    key.precision(17);
    key << "obs " << damping_;
    const at::Tensor& inverse =
        site.stats.derived<at::Tensor>(key.str(), [&] { return inverse_diagonal(site); });
    return per_token(site, inverse.mul(2).reciprocal());
  }

  at::Tensor inverse_diagonal(const SiteView& site) const {
    at::Tensor hessian = site.stats.sum("gram").to(at::kDouble, /*non_blocking=*/false,
                                                   /*copy=*/true);
    const at::Tensor diagonal = hessian.diagonal().clone();
    const at::Tensor dead = diagonal.le(0);
    hessian.diagonal().add_(damping_ * diagonal.mean().item<double>());
    // A channel that is always 0 is coupled with no other and costs nothing.
    hessian.diagonal().masked_fill_(dead, 1.0);
    const auto [factor, info] = at::linalg_cholesky_ex(hessian);
    hessian.reset();
    if (info.item<int>() != 0 || !std::isfinite(factor.diagonal().sum().item<double>()))
      throw NumericalError(site.site.name + ": the Gram matrix with damping " +
                               std::to_string(damping_) + " of its mean diagonal has no inverse",
                           "raise the option damping, or calibrate on more text");
    return inverse_diagonal_of(factor).masked_fill(dead, INFINITY);
  }

  double damping_;
};

}  // namespace

std::unique_ptr<SensitivityEstimator> obs(Options& options) {
  return std::make_unique<OptimalBrainSurgeon>(
      options.get_in("damping", 0.01, 0.0, 1.0,
                     "share of the Gram matrix's mean diagonal added to its diagonal, 0 ... 1"));
}

}  // namespace ptq::estimator
