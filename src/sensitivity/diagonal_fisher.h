#pragma once
#include <string>

#include "ptq/sensitivity/estimator.h"

namespace ptq::estimator {

/// What predicts with the diagonal F of the Fisher matrix in place of the Hessian's: a change Δ
/// costs ½ Σ_o Δ_oj² F_oj a column, its other elements left out.
class DiagonalFisher : public SensitivityEstimator {
 public:
  /// Reads the option `per`: whose gradients are squared, a sequence's or a token's.
  explicit DiagonalFisher(Options& options);

  std::vector<std::string> statistics() const override { return {statistic_}; }
  at::Tensor predicted_by_channel(const SiteView& site, const at::Tensor& delta) const override;
  std::optional<double> predicted(const SiteView& site, const at::Tensor& delta) const override;

 protected:
  /// F, float32 [out, in], summed over the data.
  const at::Tensor& diagonal(const SiteView& site) const { return site.stats.sum(statistic_); }

 private:
  std::string statistic_;
};

}  // namespace ptq::estimator
