// F_oj = Σ_t g_to² x_tj²: the diagonal of the Fisher information with a token as the sample.
#include <ATen/ATen.h>

#include "ptq/calib/statistic.h"
#include "ptq/model/matmul.h"
#include "sums.h"

namespace ptq::statistic {
namespace {

class FisherToken : public Statistic {
 public:
  bool needs_gradients() const override { return true; }

  std::vector<SumLayout> layout(int64_t out, int64_t in) const override {
    return {{"sum", at::kFloat, {out, in}}};
  }

  void add(const SiteBatch& batch, Sums& sums) const override {
    add_transposed_product(as_rows(batch.g).square(), as_rows(batch.x).square(), {}, Part::kWhole,
                           sums.at("sum"));
  }
};

}  // namespace

std::unique_ptr<Statistic> fisher_token(Options& /*options*/) {
  return std::make_unique<FisherToken>();
}

}  // namespace ptq::statistic
