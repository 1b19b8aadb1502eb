#include "estimator_sources.h"

#include "collection.h"
#include "collection_plan.h"
#include "effective_tokens.h"
#include "ptq/core/error.h"

namespace ptq::detail {

EstimatorSources::EstimatorSources(const Request& request) : request_(request) {
  check_data();
  if (!request_.stats.empty()) open_store();
}

void EstimatorSources::check_data() const {
  const EstimatorSet& set = request_.set;
  if (!request_.stats.empty() && !set.probes.empty())
    throw ConfigError(
        "an estimator needs gradients at other weights, which no store of "
        "statistics holds",
        "leave --stats out and name a text with --calibration FILE");
  const bool reads = !set.statistics.empty() || !set.probes.empty();
  if (reads && request_.stats.empty() && !request_.session.tokens.defined())
    throw ConfigError("these estimators need data", "name a text with --calibration FILE");
}

void EstimatorSources::open_store() {
  statistics_ = StatsStore::open(request_.stats);
  statistics_->check_model(request_.session.identity);
  statistics_->require(request_.set.statistics);
  found_.store = statistics_->manifest().to_json();
  found_.counts = statistics_->manifest().counts;
  found_.effective_tokens = effective_tokens(*statistics_, request_.session.sites);
}

/// What the estimators read, and how much data that is worth.
StatisticSet EstimatorSources::collected() const {
  const Json options = request_.set.statistic_options(request_.plugin_options);
  std::vector<std::string> names = request_.set.statistics;
  if (StatisticSet(names, options).needs_gradients()) names.emplace_back(kEffectiveTokensStatistic);
  return StatisticSet(names, options);
}

bool EstimatorSources::collects() const {
  return request_.stats.empty() &&
         !(request_.set.statistics.empty() && request_.set.probes.empty());
}

void EstimatorSources::collect(const std::filesystem::path& directory, ProgressListener& listener) {
  if (!collects()) return;
  const CalibrationSession& session = request_.session;
  const StatisticSet statistics = collected();
  found_.plan = plan_collection(session, statistics, request_.set.probes);
  announce(found_.plan, directory.parent_path(), listener);
  if (!statistics.empty()) {
    found_.stats_bytes = statistics.bytes(session.sites);
    found_.mean_nll = collect_statistics(session, statistics, directory / "statistics", listener);
    statistics_ = StatsStore::open(directory / "statistics");
    found_.counts = statistics_->manifest().counts;
    found_.effective_tokens = effective_tokens(*statistics_, session.sites);
  }
  int number = 0;
  for (const auto& entry : request_.set.probes)
    collect_probe(entry.second, directory / ("probe-" + std::to_string(number++)), listener);
}

void EstimatorSources::collect_probe(const GradientProbe& probe,
                                     const std::filesystem::path& directory,
                                     ProgressListener& listener) {
  const ProbeOutcome outcome = detail::collect_probe(request_.session, probe, directory, listener);
  probes_.emplace(probe.name, StatsStore::open(directory));
  found_.counts = probes_.at(probe.name).manifest().counts;
  found_.probe_nll[probe.name] = outcome.mean_nll;
}

SiteStats EstimatorSources::site_stats(const LinearSite& site) {
  SiteStats stats;
  if (statistics_) stats = statistics_->site_stats(site, request_.set.statistics);
  for (auto& [name, store] : probes_) {
    const SiteStats gradients = store.site_stats(site);
    stats.set(name, std::make_shared<Sums>(Sums{{"gradient", gradients.sum("pooled-gradient")}}));
    stats.set_counts(gradients.counts());
  }
  return stats;
}

}  // namespace ptq::detail
