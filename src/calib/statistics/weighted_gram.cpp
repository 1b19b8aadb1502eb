// XᵀDX with D = diag(‖g_t‖²) (arXiv:2601.11663), or one such matrix for each group of outputs, with
// the gradients of its outputs only (GuidedQuant, arXiv:2505.07004, up to the group's size).
#include <string>

#include <ATen/ATen.h>

#include "ptq/calib/statistic.h"
#include "ptq/model/matmul.h"
#include "sums.h"

namespace ptq::statistic {
namespace {

class WeightedGram : public Statistic {
 public:
  explicit WeightedGram(int64_t groups) : groups_(groups) {}

  bool needs_gradients() const override { return true; }

  std::vector<SumLayout> layout(int64_t out, int64_t in) const override {
    if (groups_ > out)
      throw ConfigError("weighted-gram.groups is " + std::to_string(groups_) +
                            ", but a linear has only " + std::to_string(out) + " outputs",
                        "choose at most as many groups as the smallest linear has outputs");
    return {{"sum", at::kFloat, {groups_, in, in}}};
  }

  void add(const SiteBatch& batch, Sums& sums) const override {
    const at::Tensor x = as_rows(batch.x), g = as_rows(batch.g);
    const int64_t out = g.size(1);
    for (int64_t group = 0; group < groups_; ++group) {
      const int64_t first = out * group / groups_, end = out * (group + 1) / groups_;
      const at::Tensor energy = row_energy(g.narrow(1, first, end - first));
      add_transposed_product(x, x, energy, Part::kUpper, sums.at("sum").select(0, group));
    }
  }

  void finish(Sums& sums) const override {
    for (int64_t group = 0; group < groups_; ++group)
      mirror_upper(sums.at("sum").select(0, group));
  }

 private:
  int64_t groups_;
};

}  // namespace

std::unique_ptr<Statistic> weighted_gram(Options& options) {
  return std::make_unique<WeightedGram>(options.get_in<int64_t>(
      "groups", 1, 1, 4096,
      "matrices a linear: its outputs are cut into so many equal runs; 1 to 4096"));
}

}  // namespace ptq::statistic
