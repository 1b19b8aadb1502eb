#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ptq/calib/gradient_sweep.h"
#include "ptq/calib/statistic.h"
#include "ptq/core/registry.h"
#include "ptq/quant/scheme.h"

namespace ptq {

/// Gradients at displaced weights, combined linearly: for every linear the float32 [out, in] sum
/// over nodes of coefficient · Σ over sequences of ∂NLL/∂W, nats, taken where every linear of the
/// model has the weight W + at · direction; a node with coefficient 0 is there for its loss only.
/// Found in SiteStats under `name`, sum "gradient".
struct GradientProbe {
  struct Node {
    double at = 0, coefficient = 0;
  };
  std::string name;
  std::shared_ptr<const Direction> direction;
  std::vector<Node> nodes;
};

/// Says how much a linear's channels matter, from statistics of the unquantized model.
class SensitivityEstimator {
 public:
  virtual ~SensitivityEstimator() = default;

  /// The statistics it reads, by name.
  virtual std::vector<std::string> statistics() const { return {}; }
  /// The gradients at other weights that it reads; each node costs one reverse sweep.
  virtual std::vector<GradientProbe> probes() const { return {}; }

  /// What a raw score is, with its unit: "mean |x|", "nats² per token", …
  virtual std::string unit() const = 0;

  /// One raw score per input channel, float64 [in], larger matters more (PQI's may be signed).
  virtual at::Tensor channel_scores(const SiteView& site) const = 0;
  /// How often the magnitude of a channel's input or error is a factor of its raw score: 2 for a
  /// second moment or a cost, 1 for a magnitude.  The root of that degree compares with |x|.
  virtual int degree() const { return 2; }
  /// The same of every weight, float64 [out, in]; undefined where there is none.
  virtual at::Tensor weight_scores(const SiteView& /*site*/) const { return {}; }

  /// Predicted change of the mean NLL in nats per target token when `delta`, float32 [out, in], is
  /// added to the weight: for every column alone, float64 [in].  Undefined where the theory makes
  /// no such statement.
  virtual at::Tensor predicted_by_channel(const SiteView& /*site*/,
                                          const at::Tensor& /*delta*/) const {
    return {};
  }
  /// The same for the whole of `delta`, in which columns may act together; without a value where
  /// the theory makes no such statement.
  virtual std::optional<double> predicted(const SiteView& /*site*/,
                                          const at::Tensor& /*delta*/) const {
    return std::nullopt;
  }
};

/// All estimators, by name.
const Registry<SensitivityEstimator>& estimators();

}  // namespace ptq
