// Σ_t g_to² of every output ("sum"), and of D_t = ‖g_t‖² the sums ΣD ("energy") and ΣD²
// ("energy_squared"): (ΣD)²/ΣD² is how many equally weighted tokens XᵀDX is worth.
#include <ATen/ATen.h>

#include "ptq/calib/statistic.h"
#include "sums.h"

namespace ptq::statistic {
namespace {

class GradientEnergy : public Statistic {
 public:
  bool needs_gradients() const override { return true; }

  std::vector<SumLayout> layout(int64_t out, int64_t /*in*/) const override {
    return {{"sum", at::kDouble, {out}},
            {"energy", at::kDouble, {1}},
            {"energy_squared", at::kDouble, {1}}};
  }

  void add(const SiteBatch& batch, Sums& sums) const override {
    const at::Tensor g = as_rows(batch.g), energy = row_energy(g).to(at::kDouble);
    add_column_sums(g, sums.at("sum"), [](float value, int64_t) { return value * value; });
    sums.at("energy").add_(energy.sum());
    sums.at("energy_squared").add_(energy.square().sum());
  }
};

}  // namespace

std::unique_ptr<Statistic> gradient_energy(Options& /*options*/) {
  return std::make_unique<GradientEnergy>();
}

}  // namespace ptq::statistic
