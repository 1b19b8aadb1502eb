// Σ_t g_to x_tj = ∂L/∂W_oj, the gradient of the NLL summed over all sequences.
#include <ATen/ATen.h>

#include "ptq/calib/statistic.h"
#include "ptq/model/matmul.h"
#include "sums.h"

namespace ptq::statistic {
namespace {

class PooledGradient : public Statistic {
 public:
  bool needs_gradients() const override { return true; }

  std::vector<SumLayout> layout(int64_t out, int64_t in) const override {
    return {{"sum", at::kFloat, {out, in}}};
  }

  void add(const SiteBatch& batch, Sums& sums) const override {
    add_transposed_product(as_rows(batch.g), as_rows(batch.x), {}, Part::kWhole, sums.at("sum"));
  }
};

}  // namespace

std::unique_ptr<Statistic> pooled_gradient(Options& /*options*/) {
  return std::make_unique<PooledGradient>();
}

}  // namespace ptq::statistic
