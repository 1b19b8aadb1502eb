// (X − X̃)ᵀX̃ as of cross-gram, without the first token of every sequence.
#include <ATen/ATen.h>

#include "ptq/calib/statistic.h"
#include "ptq/model/matmul.h"
#include "sums.h"

namespace ptq::statistic {
namespace {

class CrossGramAfterFirst : public Statistic {
 public:
  bool needs_reference() const override { return true; }

  std::vector<SumLayout> layout(int64_t /*out*/, int64_t in) const override {
    return {{"sum", at::kFloat, {in, in}}};
  }

  void add(const SiteBatch& batch, Sums& sums) const override {
    const at::Tensor x = rows_after_first(batch.x);
    if (x.size(0) > 0)
      add_transposed_product(rows_after_first(batch.reference) - x, x, {}, Part::kWhole,
                             sums.at("sum"));
  }
};

}  // namespace

std::unique_ptr<Statistic> cross_gram_after_first(Options& /*options*/) {
  return std::make_unique<CrossGramAfterFirst>();
}

}  // namespace ptq::statistic
