#include "budget.h"

#include <algorithm>
#include <cmath>

#include "ptq/core/error.h"
#include "ptq/formats/sparse_part.h"
#include "ptq/report/table.h"

namespace ptq::detail {

SparseBudget SparseBudget::of(const RequantSettings& settings, const std::vector<LinearSite>& sites,
                              const QuantPlan& plan) {
  SparseBudget budget;
  double dense = 0;  // bits
  for (const LinearSite& site : sites) {
    const auto planned = plan.find(site.name);
    if (planned == plan.end()) continue;
    const int64_t weights = site.out_features * site.in_features;
    budget.weights += weights;
    dense += static_cast<double>(weights) * planned->second.bits_per_weight(site.in_features);
    const int64_t one = sparse_bytes(site.out_features, site.in_features, 1);
    const int64_t more = sparse_bytes(site.out_features, site.in_features, 2) - one;
    budget.pointer_bytes += one - more;
    budget.weight_bytes = std::max(budget.weight_bytes, more);
  }
  const auto all = static_cast<double>(budget.weights);
  double outliers = settings.outliers / 100 * all, significant = settings.significant / 100 * all;
  if (settings.target_bpw > 0) {
    const double left = settings.target_bpw * all - dense;
    if (left < 0)
      throw ConfigError("the dense part alone takes " + fixed(dense / all, 4) +
                            " bits a weight, the target is " + fixed(settings.target_bpw, 4),
                        "raise requant.target_bpw, or use larger groups or fewer bits");
    const double sum = outliers + significant;
    const double count =
        std::max(0.0, std::floor((left / 8 - static_cast<double>(budget.pointer_bytes)) /
                                 static_cast<double>(budget.weight_bytes)));
    outliers = sum > 0 ? count * outliers / sum : 0;
    significant = sum > 0 ? count - outliers : 0;
  }
  // Down, so that a target holds.
  budget.outliers = static_cast<int64_t>(std::floor(outliers));
  budget.significant = static_cast<int64_t>(std::floor(significant));
  return budget;
}

}  // namespace ptq::detail
