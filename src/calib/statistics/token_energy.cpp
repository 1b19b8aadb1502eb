// Σ_t ‖g_t‖² x_tj²: the diagonal of XᵀDX (arXiv:2601.11663, a token a sample), without any matrix;
// the column sums of fisher-token.
#include <ATen/ATen.h>

#include "ptq/calib/statistic.h"
#include "sums.h"

namespace ptq::statistic {
namespace {

class TokenEnergy : public Statistic {
 public:
  bool needs_gradients() const override { return true; }

  std::vector<SumLayout> layout(int64_t /*out*/, int64_t in) const override {
    return {{"sum", at::kDouble, {in}}};
  }

  void add(const SiteBatch& batch, Sums& sums) const override {
    const at::Tensor energy = row_energy(as_rows(batch.g)).cpu();
    const float* d = energy.data_ptr<float>();
    add_column_sums(as_rows(batch.x), sums.at("sum"),
                    [d](float x, int64_t token) { return d[token] * x * x; });
  }
};

}  // namespace

std::unique_ptr<Statistic> token_energy(Options& /*options*/) {
  return std::make_unique<TokenEnergy>();
}

}  // namespace ptq::statistic
