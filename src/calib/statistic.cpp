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

SiteStats SiteStats::to(at::Device device) const {
  bool there = true;
  SiteStats moved;
  for (const auto& [statistic, sums] : sums_) {
    auto copies = std::make_shared<Sums>();
    for (const auto& [name, sum] : *sums) {
      there = there && sum.device() == device;
      copies->emplace(name, sum.to(device));
    }
    moved.sums_[statistic] = std::move(copies);
  }
  moved.counts_ = counts_;
  return there ? *this : moved;
}

}  // namespace ptq
