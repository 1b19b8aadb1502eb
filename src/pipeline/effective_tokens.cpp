#include "effective_tokens.h"

#include <algorithm>

#include <ATen/ATen.h>

#include "ptq/report/table.h"

namespace ptq::detail {

std::map<std::string, double> effective_tokens(StatsStore& store,
                                               const std::vector<LinearSite>& sites) {
  std::map<std::string, double> effective;
  if (!store.manifest().statistics.contains(kEffectiveTokensStatistic)) return effective;
  for (const LinearSite& site : sites) {
    const SiteStats stats = store.site_stats(site, {kEffectiveTokensStatistic});
    const auto energy = stats.sum(kEffectiveTokensStatistic, "energy").item<double>();
    const auto squared = stats.sum(kEffectiveTokensStatistic, "energy_squared").item<double>();
    effective[site.name] = squared > 0 ? energy * energy / squared : 0;
  }
  return effective;
}

std::string effective_tokens_line(const std::map<std::string, double>& effective, int64_t tokens) {
  if (effective.empty()) return "";
  std::vector<std::pair<double, std::string>> sorted;
  for (const auto& [name, count] : effective)
    sorted.emplace_back(count, name);
  std::sort(sorted.begin(), sorted.end());
  return "effective tokens by gradient: " + fixed(sorted.front().first, 1) + " (" +
         sorted.front().second + ") to " + fixed(sorted.back().first, 1) + ", median " +
         fixed(sorted[sorted.size() / 2].first, 1) + ", of " + std::to_string(tokens) + "\n";
}

}  // namespace ptq::detail
