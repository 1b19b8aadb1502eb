// XᵀX without the first token of every sequence, on which attention sinks make some inputs hundreds
// of times larger than on any other.
#include <ATen/ATen.h>

#include "ptq/calib/statistic.h"
#include "ptq/model/matmul.h"
#include "sums.h"

namespace ptq::statistic {
namespace {

class GramAfterFirst : public Statistic {
 public:
  std::vector<SumLayout> layout(int64_t /*out*/, int64_t in) const override {
    return {{"sum", at::kFloat, {in, in}}};
  }

  void add(const SiteBatch& batch, Sums& sums) const override {
    const at::Tensor rows = rows_after_first(batch.x);
    if (rows.size(0) > 0) add_transposed_product(rows, rows, {}, Part::kUpper, sums.at("sum"));
  }

  void finish(Sums& sums) const override { mirror_upper(sums.at("sum")); }
};

}  // namespace

std::unique_ptr<Statistic> gram_after_first(Options& /*options*/) {
  return std::make_unique<GramAfterFirst>();
}

}  // namespace ptq::statistic
