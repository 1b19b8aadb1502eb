// ReQuant (arXiv 2503.01901): Ŵ = dense low-bit part + sparse outliers + sparse significant
// weights.
//  1. quantize the model by the base method;
//  2. give every linear its share of the outliers (outlier_shares);
//  3. detach its largest weights and
//  4. quantize the rest again;
//  5. step by step, detach the weights whose rounding costs most by a ranking on the model as it
//     stands, which is the post-quantization integral there;
//  6. the parts stand beside each other.
// The listings of its algorithms 1 and 2 were not available: what is free is an option, and
// docs/requant.md says what was measured.
#include <algorithm>

#include "ptq/pipeline/model_method.h"
#include "run.h"

namespace ptq {
namespace {

class Requant : public ModelMethod {
 public:
  explicit Requant(detail::RequantSettings settings) : settings_(std::move(settings)) {}

  std::vector<std::string> stored_statistics(const QuantizeJob& job) const override {
    return detail::gradient_statistics(*settings_.make_base(job.plugin_options)).names;
  }
  QuantizePlan plan(const QuantizeJob& job, ProgressListener& listener) const override {
    return detail::RequantRun(settings_, job, listener).plan();
  }
  QuantizeReport quantize(const QuantizeJob& job, ProgressListener& listener) const override {
    return detail::RequantRun(settings_, job, listener).run();
  }

 private:
  detail::RequantSettings settings_;
};

}  // namespace

namespace model_method {

std::unique_ptr<ModelMethod> requant(Options& options) {
  return std::make_unique<Requant>(detail::RequantSettings::read(options));
}

}  // namespace model_method
}  // namespace ptq
