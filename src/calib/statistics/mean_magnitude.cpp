// Σ_t |x_tj|: what AWQ (Lin et al., arXiv:2306.00978) measures an input channel by.
#include <cmath>

#include <ATen/ATen.h>

#include "ptq/calib/statistic.h"
#include "sums.h"

namespace ptq::statistic {
namespace {

class MeanMagnitude : public Statistic {
 public:
  std::vector<SumLayout> layout(int64_t /*out*/, int64_t in) const override {
    return {{"sum", at::kDouble, {in}}};
  }

  void add(const SiteBatch& batch, Sums& sums) const override {
    add_column_sums(as_rows(batch.x), sums.at("sum"),
                    [](float x, int64_t /*token*/) { return std::abs(x); });
  }
};

}  // namespace

std::unique_ptr<Statistic> mean_magnitude(Options& /*options*/) {
  return std::make_unique<MeanMagnitude>();
}

}  // namespace ptq::statistic
