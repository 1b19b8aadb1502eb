// F_oj = Σ_s (Σ_{t in s} g_to x_tj)²: the diagonal of the Fisher information with a sequence as the
// sample (SqueezeLLM, arXiv:2306.07629).
#include <ATen/ATen.h>

#include "ptq/calib/statistic.h"
#include "ptq/model/matmul.h"

namespace ptq::statistic {
namespace {

class FisherSequence : public Statistic {
 public:
  bool needs_gradients() const override { return true; }

  std::vector<SumLayout> layout(int64_t out, int64_t in) const override {
    return {{"sum", at::kFloat, {out, in}}};
  }

  void add(const SiteBatch& batch, Sums& sums) const override {
    for (int64_t s = 0; s < batch.x.size(0); ++s)
      add_squared_product(batch.g[s], batch.x[s], sums.at("sum"));
  }
};

}  // namespace

std::unique_ptr<Statistic> fisher_sequence(Options& /*options*/) {
  return std::make_unique<FisherSequence>();
}

}  // namespace ptq::statistic
