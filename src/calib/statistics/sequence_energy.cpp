// Σ_s ‖G_sᵀ x_{s,j}‖²: the column sums of fisher-sequence, without keeping that matrix.
#include <ATen/ATen.h>

#include "ptq/calib/statistic.h"
#include "ptq/model/matmul.h"

namespace ptq::statistic {
namespace {

class SequenceEnergy : public Statistic {
 public:
  bool needs_gradients() const override { return true; }

  std::vector<SumLayout> layout(int64_t /*out*/, int64_t in) const override {
    return {{"sum", at::kDouble, {in}}};
  }

  void add(const SiteBatch& batch, Sums& sums) const override {
    for (int64_t s = 0; s < batch.x.size(0); ++s)
      add_squared_product_columns(batch.g[s], batch.x[s], sums.at("sum"));
  }
};

}  // namespace

std::unique_ptr<Statistic> sequence_energy(Options& /*options*/) {
  return std::make_unique<SequenceEnergy>();
}

}  // namespace ptq::statistic
