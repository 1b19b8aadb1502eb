#pragma once
#include <limits>
#include <string>
#include <vector>

#include <ATen/ATen.h>

#include "ptq/calib/collector.h"

namespace ptq::test {

/// Batches that a linear may see: `sequences` of `seq` tokens, inputs of unlike size by channel,
/// gradients of unlike size by token, and inputs of a reference nearby.
inline SiteBatch random_batch(int64_t sequences, int64_t seq, int64_t out, int64_t in) {
  const at::Tensor x = at::randn({sequences, seq, in}) * at::exp(at::randn({in}));
  const at::Tensor g = at::randn({sequences, seq, out}) * at::exp(at::randn({sequences, seq, 1}));
  return {x, g, x + 0.1 * at::randn({sequences, seq, in})};
}

/// Some of a batch's sequences.
inline SiteBatch sequences_of(const SiteBatch& batch, int64_t first, int64_t count) {
  return {batch.x.narrow(0, first, count), batch.g.narrow(0, first, count),
          batch.reference.defined() ? batch.reference.narrow(0, first, count) : at::Tensor()};
}

inline LinearSite site_of(const SiteBatch& batch) {
  LinearSite site;
  site.name = "model.layers.1.mlp.up_proj";
  site.input = "model.layers.1.mlp.input";
  site.block = 1;
  site.in_features = batch.x.size(2);
  site.out_features = batch.g.defined() ? batch.g.size(2) : 1;
  return site;
}

/// The statistic `name` of `batches`.
inline SiteStats collected(const std::string& name, const std::vector<SiteBatch>& batches,
                           const Json& options = Json::object()) {
  const StatisticSet statistics({name}, {{name, options}});
  Collector collector(statistics);
  for (const SiteBatch& batch : batches)
    collector.add(site_of(batches.front()), batch);
  collector.finish();
  return collector.stats(site_of(batches.front()));
}

/// float64 [tokens, n] of [sequences, seq, n].
inline at::Tensor rows64(const at::Tensor& tensor) {
  return tensor.reshape({-1, tensor.size(-1)}).to(at::kDouble);
}

/// float64 [sequences, out, in]: every sequence's weight gradient.
inline at::Tensor gradients64(const SiteBatch& batch) {
  return at::matmul(batch.g.to(at::kDouble).transpose(1, 2), batch.x.to(at::kDouble));
}

/// True if every entry of `sum` is within `roundings` float32 roundings of `exact`, float64,
/// relative to `size`, float64: the sum of its terms' absolute values.
inline bool within(const at::Tensor& sum, const at::Tensor& exact, const at::Tensor& size,
                   int64_t roundings) {
  const double unit = std::numeric_limits<float>::epsilon() / 2 * static_cast<double>(roundings);
  return sum.sizes() == exact.sizes() &&
         ((sum.to(at::kDouble) - exact).abs() <= size * unit).all().item<bool>();
}

}  // namespace ptq::test
