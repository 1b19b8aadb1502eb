#include "ptq/calib/statistic.h"

#include <stdexcept>

#include <ATen/ATen.h>

namespace ptq {

const at::Tensor& SiteStats::sum(const std::string& statistic, const std::string& name) const& {
  const auto sums = sums_.find(statistic);
  if (sums == sums_.end())
    throw std::logic_error("the statistic " + statistic + " was read but not collected");
  const auto found = sums->second->find(name);
  if (found == sums->second->end())
    throw std::logic_error("the statistic " + statistic + " has no sum " + name);
  return found->second;
}

void SiteStats::set(const std::string& statistic, std::shared_ptr<Sums> sums) {
  sums_[statistic] = std::move(sums);
  derived_ = std::make_shared<Derived>();
}

}  // namespace ptq
