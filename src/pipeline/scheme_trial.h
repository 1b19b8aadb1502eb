#pragma once
#include <memory>
#include <string>
#include <vector>

#include "ptq/quantizers/quantizer.h"

namespace ptq::detail {

/// Throws ConfigError, naming a linear, where `quantizer`, which is called `method`, does not make
/// what `plan` asks for.
void require_made(const std::string& method, const Quantizer& quantizer, const QuantPlan& plan);

/// The change of a linear's weight under a scheme: that of rounding to nearest, or what a quantizer
/// makes of it with the statistics of the unquantized model.
class SchemeTrial {
 public:
  /// `method`: empty for rounding to nearest.  Throws ConfigError for an unknown one, bad options
  /// or one of `schemes` that it does not make, UnsupportedError for a method that needs more than
  /// a linear's statistics.
  SchemeTrial(const std::string& method, const Json& options,
              const std::vector<QuantScheme>& schemes);

  /// The statistics that `change` reads, by name.
  std::vector<std::string> statistics() const;
  /// float32 [out, in]: quantized minus given weight.
  at::Tensor change(const SiteView& site, const QuantScheme& scheme);
  /// What the quantizer did other than asked, in all changes so far.
  int64_t fallbacks() const { return fallbacks_; }

 private:
  std::unique_ptr<Quantizer> quantizer_;
  int64_t fallbacks_ = 0;
};

}  // namespace ptq::detail
