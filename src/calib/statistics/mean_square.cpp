// Σ_t x_tj²: the diagonal of XᵀX without the matrix.
#include <ATen/ATen.h>

#include "ptq/calib/statistic.h"
#include "sums.h"

namespace ptq::statistic {
namespace {

class MeanSquare : public Statistic {
 public:
  std::vector<SumLayout> layout(int64_t /*out*/, int64_t in) const override {
    return {{"sum", at::kDouble, {in}}};
  }

  void add(const SiteBatch& batch, Sums& sums) const override {
    add_column_sums(as_rows(batch.x), sums.at("sum"),
                    [](float x, int64_t /*token*/) { return x * x; });
  }
};

}  // namespace

std::unique_ptr<Statistic> mean_square(Options& /*options*/) {
  return std::make_unique<MeanSquare>();
}

}  // namespace ptq::statistic
