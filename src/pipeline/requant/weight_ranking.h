#pragma once
#include <memory>
#include <string>
#include <vector>

#include "ptq/sensitivity/estimator.h"

namespace ptq::detail {

/// What a ranking sees of one linear.
struct RankedWeights {
  const SiteView& site;        ///< of the unquantized model, with the statistics it reads
  const at::Tensor& change;    ///< float32 [out, in]: Ŵ − W as the model stands now
  const at::Tensor& gradient;  ///< float32 [out, in]: the combined gradient of its nodes, nats per
                               ///< target token and weight; undefined without nodes
};

/// Says which single weights are worth most in full precision.
struct WeightRanking {
  std::string name, help;
  /// Where on the way from W to Ŵ gradients are taken; none: it needs none.
  std::vector<GradientProbe::Node> nodes;
  /// The statistics of the unquantized model that it reads.
  std::vector<std::string> statistics;
  /// float32 [out, in]: the highest are detached first, those that are not positive never.
  at::Tensor (*score)(const RankedWeights& weights, uint64_t seed);
};

/// The rankings' names.
std::vector<std::string> weight_ranking_names();

/// Nodes of an integral from W to Ŵ.
std::vector<GradientProbe::Node> integral_nodes(int64_t count);

/// With the losses at both ends, which the gradients between are to explain.
std::vector<GradientProbe::Node> with_ends(std::vector<GradientProbe::Node> nodes);

/// The ranking `name`; `nodes`: Gauss-Legendre nodes of those that integrate.  Throws
/// std::logic_error for an unknown name.
WeightRanking weight_ranking(const std::string& name, int64_t nodes);

}  // namespace ptq::detail
