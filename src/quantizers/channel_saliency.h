#pragma once
#include <memory>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "ptq/quantizers/quantizer.h"
#include "ptq/sensitivity/estimator.h"

namespace ptq::quantizer {

/// How much the input channels of a stage matter, by an estimator of sensitivity.
class ChannelSaliency {
 public:
  /// `name`: an estimator or one of the statistics "mean-magnitude", "mean-square", "token-energy"
  /// and "sequence-energy", each for the estimator that reads it alone; `options`: the estimator's.
  /// Throws ConfigError for another name, a wrong option, and an estimator that reads gradients at
  /// other weights, which neither the sweep nor a store has.
  explicit ChannelSaliency(const std::string& name, const Json& options = Json::object());

  /// What `name` can be.
  static std::vector<std::string> names();

  /// The statistics that the sweep collects for it, and those with gradients, from a store.
  const std::vector<std::string>& block_statistics() const& { return block_statistics_; }
  const std::vector<std::string>& stored_statistics() const& { return stored_statistics_; }

  /// Bytes that `of` takes at its peak for a linear, stored statistics included.
  int64_t bytes(const LinearSite& site) const;

  /// float64 [in], positive or 0: the scores of stage `index`, whose statistics `context` has,
  /// averaged over its linears, and of that the root by the estimator's degree, so that they
  /// compare with mean |x|.  Their unit is any.
  at::Tensor of(const BlockContext& context, size_t index) const;

 private:
  std::shared_ptr<const SensitivityEstimator> estimator_;  ///< shared: copies read it alike
  std::vector<std::string> block_statistics_, stored_statistics_;
};

}  // namespace ptq::quantizer
