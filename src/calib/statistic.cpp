#include "ptq/calib/statistic.h"

#include <ATen/ATen.h>

namespace ptq {

SiteStats::SiteStats(const StatRequest& request, int64_t in_features) {
  for (const auto& [type, make] : request.makers())
    stats_[type] = make(in_features);
}

void SiteStats::add(const at::Tensor& x) {
  for (const auto& entry : stats_)
    entry.second->add(x);
}

void SiteStats::finish() {
  for (const auto& entry : stats_)
    entry.second->finish();
}

int64_t SiteStats::bytes() const {
  int64_t total = 0;
  for (const auto& entry : stats_)
    total += entry.second->bytes();
  return total;
}

}  // namespace ptq
