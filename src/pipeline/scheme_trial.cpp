#include "scheme_trial.h"

#include <ATen/ATen.h>

#include "ptq/core/error.h"
#include "ptq/sensitivity/rounding.h"

namespace ptq::detail {

void require_made(const std::string& method, const Quantizer& quantizer, const QuantPlan& plan) {
  for (const auto& [name, scheme] : plan)
    if (const auto reason = quantizer.unsupported(scheme))
      throw ConfigError(
          "method " + method + " cannot make " + scheme.name() + " of " + name + ": " + *reason,
          "choose another --method or another scheme; see ptq list");
}

SchemeTrial::SchemeTrial(const std::string& method, const Json& options,
                         const std::vector<QuantScheme>& schemes) {
  if (method.empty()) {
    for (const QuantScheme& scheme : schemes)
      RoundingDirection{scheme};  // throws
    return;
  }
  quantizer_ = quantizers().make(method, options);
  for (const QuantScheme& scheme : schemes)
    if (const auto reason = quantizer_->unsupported(scheme))
      throw ConfigError("--trial " + method + " cannot make " + scheme.name() + ": " + *reason,
                        "choose another --trial or other --candidates");
  if (quantizer_->prepares_blocks() || quantizer_->refines_blocks() ||
      StatisticSet(quantizer_->statistics()).needs_reference())
    throw UnsupportedError("--trial " + method +
                               ": with these options it needs whole blocks or the quantized model "
                               "beside, which a plan has not",
                           "choose a method that works linear by linear on statistics");
}

std::vector<std::string> SchemeTrial::statistics() const {
  return quantizer_ ? quantizer_->statistics() : std::vector<std::string>{};
}

at::Tensor SchemeTrial::change(const SiteView& site, const QuantScheme& scheme) {
  if (!quantizer_) return RoundingDirection(scheme).of(site.site, site.weight);
  const QuantizedSite tried = quantizer_->quantize(site, scheme);
  fallbacks_ += static_cast<int64_t>(tried.fallbacks.size());
  return tried.weight.dequantize() - site.weight;
}

}  // namespace ptq::detail
