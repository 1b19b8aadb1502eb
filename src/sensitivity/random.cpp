// A control that knows nothing: whatever an estimator is good for, it must beat this.
#include <ATen/ATen.h>

#include "ptq/sensitivity/estimator.h"
#include "ptq/sensitivity/seeded_bits.h"

namespace ptq::estimator {
namespace {

class Random : public SensitivityEstimator {
 public:
  Random(uint64_t seed, bool by_linear) : seed_(seed), by_linear_(by_linear) {}

  std::string unit() const override { return "uniform in [0, 1)"; }
  int degree() const override { return 1; }

  at::Tensor channel_scores(const SiteView& site) const override {
    at::Tensor scores = at::empty({site.weight.size(1)}, at::kDouble);
    SeededBits bits(site.site.name, seed_);
    double* score = scores.data_ptr<double>();
    const double common = bits.uniform();
    score[0] = common;
    for (int64_t j = 1; j < scores.numel(); ++j)
      score[j] = by_linear_ ? common : bits.uniform();
    return scores;
  }

 private:
  uint64_t seed_;
  bool by_linear_;
};

}  // namespace

std::unique_ptr<SensitivityEstimator> random(Options& options) {
  const auto seed = options.get_in<int64_t>("seed", 0, 0, INT32_MAX, "of the numbers, from 0");
  const bool by_linear =
      options.get_choice("per", "channel", {"channel", "linear"},
                         "what has a number of its own; over a linear those of channels average "
                         "out") == "linear";
  return std::make_unique<Random>(static_cast<uint64_t>(seed), by_linear);
}

}  // namespace ptq::estimator
