// (X − X̃)ᵀX̃ of a linear's input X̃ in the partly quantized model and X, what it would be in full
// precision: how the error of what ran before shows in what the linear reads.  The difference, and
// not XᵀX̃ itself, so that it is exactly 0 where nothing before is quantized.
#include <ATen/ATen.h>

#include "ptq/calib/statistic.h"
#include "ptq/model/matmul.h"
#include "sums.h"

namespace ptq::statistic {
namespace {

class CrossGram : public Statistic {
 public:
  bool needs_reference() const override { return true; }

  std::vector<SumLayout> layout(int64_t /*out*/, int64_t in) const override {
    return {{"sum", at::kFloat, {in, in}}};
  }

  void add(const SiteBatch& batch, Sums& sums) const override {
    const at::Tensor x = as_rows(batch.x);
    add_transposed_product(as_rows(batch.reference) - x, x, {}, Part::kWhole, sums.at("sum"));
  }
};

}  // namespace

std::unique_ptr<Statistic> cross_gram(Options& /*options*/) {
  return std::make_unique<CrossGram>();
}

}  // namespace ptq::statistic
