#include "ptq/calib/collector.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <stdexcept>

#include <ATen/ATen.h>

namespace ptq {
namespace {

int64_t bytes_of(const Statistic& statistic, const LinearSite& site) {
  int64_t bytes = 0;
  for (const SumLayout& sum : statistic.layout(site.out_features, site.in_features)) {
    auto size = static_cast<int64_t>(c10::elementSize(sum.dtype));
    for (const int64_t extent : sum.shape)
      size *= extent;
    bytes += size;
  }
  return bytes;
}

/// Adds `batch` to those sums of `stats` whose statistics do or do not need gradients.
void add_batch(const StatisticSet& statistics, bool gradients, const SiteBatch& batch,
               SiteStats& stats) {
  for (const auto& [name, statistic] : statistics.all())
    if (statistic->needs_gradients() == gradients) statistic->add(batch, *stats.all().at(name));
  DataCounts counts = stats.counts();
  const int64_t tokens = batch.x.size(0) * batch.x.size(1);
  counts.sequences += batch.x.size(0);
  counts.tokens += tokens;
  if (batch.g.defined()) counts.targets += tokens - batch.x.size(0);
  stats.set_counts(counts);
}

SiteStats fresh_stats(const StatisticSet& statistics, bool gradients, const LinearSite& site,
                      at::Device device) {
  SiteStats stats;
  for (const auto& [name, statistic] : statistics.all())
    if (statistic->needs_gradients() == gradients)
      stats.set(name, std::make_shared<Sums>(
                          empty_sums(*statistic, site.out_features, site.in_features, device)));
  return stats;
}

/// Throws NumericalError if a sequence of `values`, [sequences, seq, n], is not finite.
void require_finite(const at::Tensor& values, const std::string& what, const LinearSite& site,
                    int64_t first_window) {
  // A sum that is finite proves it at once; one that is not may have overflowed.
  if (std::isfinite(values.sum().item<float>())) return;
  for (int64_t index = 0; index < values.size(0); ++index) {
    const at::Tensor wrong = values[index].isfinite().logical_not_();
    if (!wrong.any().item<bool>()) continue;
    const int64_t at = wrong.reshape({-1}).to(at::kByte).argmax().item<int64_t>();
    throw NumericalError(what + " of " + site.name + " holds NaN or infinity: block " +
                             std::to_string(site.block) + ", window " +
                             std::to_string(first_window + index) + ", token " +
                             std::to_string(at / values.size(2)) + ", channel " +
                             std::to_string(at % values.size(2)) + " (each from 0)",
                         "look at the text of that window and the weights before that block");
  }
}

}  // namespace

StatisticSet::StatisticSet(const std::vector<std::string>& names, const Json& options) {
  for (const std::string& name : names) {
    const Json values = options.value(name, Json::object());
    statistics_[name] = statistics().make(name, values);
    Json& all = options_[name] = Json::object();
    for (const OptionInfo& option : statistics().options(name))
      all[option.key] = values.value(option.key, option.fallback);
  }
}

bool StatisticSet::needs_gradients() const {
  for (const auto& entry : statistics_)
    if (entry.second->needs_gradients()) return true;
  return false;
}

bool StatisticSet::needs_reference() const {
  return std::any_of(statistics_.begin(), statistics_.end(),
                     [](const auto& entry) { return entry.second->needs_reference(); });
}

std::vector<std::string> StatisticSet::names() const {
  std::vector<std::string> names;
  for (const auto& entry : statistics_)
    names.push_back(entry.first);
  return names;
}

int64_t StatisticSet::bytes(const std::vector<LinearSite>& sites, const std::string& name) const {
  const Statistic& statistic = *statistics_.at(name);
  int64_t bytes = 0;
  std::set<std::string> inputs;
  for (const LinearSite& site : sites)
    if (inputs.insert(site.input).second || statistic.needs_gradients())
      bytes += bytes_of(statistic, site);
  return bytes;
}

int64_t StatisticSet::bytes(const std::vector<LinearSite>& sites) const {
  int64_t sum = 0;
  for (const auto& entry : statistics_)
    sum += bytes(sites, entry.first);
  return sum;
}

Sums empty_sums(const Statistic& statistic, int64_t out, int64_t in, at::Device device) {
  Sums sums;
  for (const SumLayout& sum : statistic.layout(out, in))
    sums[sum.name] = at::zeros(sum.shape, at::TensorOptions(sum.dtype).device(device));
  return sums;
}

void Collector::add(const LinearSite& site, const SiteBatch& batch) {
  if (!batch.g.defined() && statistics_.needs_gradients())
    throw std::logic_error("a statistic needs gradients, which this sweep does not make");
  if (!batch.reference.defined() && statistics_.needs_reference())
    throw std::logic_error("a statistic compares with another model, which this sweep has not run");
  const auto contiguous = [](const at::Tensor& tensor) {
    return tensor.defined() ? tensor.contiguous() : at::Tensor();
  };
  const SiteBatch dense{contiguous(batch.x), contiguous(batch.g), contiguous(batch.reference)};
  const auto [input, fresh] = inputs_.try_emplace(site.input);
  if (fresh) input->second = {site.name, fresh_stats(statistics_, false, site, dense.x.device())};
  if (input->second.owner == site.name) add_batch(statistics_, false, dense, input->second.stats);
  if (!statistics_.needs_gradients()) return;
  const auto [own, first] = sites_.try_emplace(site.name);
  if (first) own->second = fresh_stats(statistics_, true, site, dense.x.device());
  add_batch(statistics_, true, dense, own->second);
}

void Collector::finish() {
  for (const auto& [name, statistic] : statistics_.all()) {
    if (statistic->needs_gradients())
      for (const auto& site : sites_)
        statistic->finish(*site.second.all().at(name));
    else
      for (const auto& input : inputs_)
        statistic->finish(*input.second.stats.all().at(name));
  }
}

SiteStats Collector::stats(const LinearSite& site) const {
  const auto input = inputs_.find(site.input);
  if (input == inputs_.end()) throw std::logic_error("nothing was collected for " + site.name);
  if (!statistics_.needs_gradients()) return input->second.stats;
  const auto own = sites_.find(site.name);
  if (own == sites_.end()) throw std::logic_error("nothing was collected for " + site.name);
  SiteStats stats = own->second;
  for (const auto& [name, sums] : input->second.stats.all())
    stats.set(name, sums);
  return stats;
}

void Collector::clear() {
  inputs_.clear();
  sites_.clear();
}

void require_finite(const LinearSite& site, const SiteBatch& batch, int64_t first_window) {
  require_finite(batch.x, "the input", site, first_window);
  if (batch.g.defined()) require_finite(batch.g, "the output gradient", site, first_window);
}

}  // namespace ptq
