// XᵀX, the second moment of a linear's input: GPTQ's Hessian of the layer's output error.
#include <ATen/ATen.h>

#include "ptq/calib/statistic.h"
#include "ptq/model/matmul.h"
#include "sums.h"

namespace ptq::statistic {
namespace {

class Gram : public Statistic {
 public:
  std::vector<SumLayout> layout(int64_t /*out*/, int64_t in) const override {
    return {{"sum", at::kFloat, {in, in}}};
  }

  void add(const SiteBatch& batch, Sums& sums) const override {
    const at::Tensor rows = as_rows(batch.x);
    add_transposed_product(rows, rows, {}, Part::kUpper, sums.at("sum"));
  }

  void finish(Sums& sums) const override { mirror_upper(sums.at("sum")); }
};

}  // namespace

std::unique_ptr<Statistic> gram(Options& /*options*/) {
  return std::make_unique<Gram>();
}

}  // namespace ptq::statistic
