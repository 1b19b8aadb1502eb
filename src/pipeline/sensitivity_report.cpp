#include <algorithm>
#include <cmath>
#include <sstream>

#include "effective_tokens.h"
#include "ptq/pipeline/sensitivity.h"
#include "ptq/report/table.h"

namespace ptq {
namespace {

std::string number(double value) {
  std::ostringstream text;
  text.precision(4);
  text << value;
  return text.str();
}

Json json_of(double value) {
  return std::isfinite(value) ? Json(value) : Json();
}

Json json_of(const SensitivityReport::Estimator& estimator) {
  Json sites = Json::object();
  double total = 0;
  for (const SiteScores& site : estimator.sites) {
    const ScoreSummary& summary = site.summary;
    total += summary.sum;
    sites[site.site] = {{"channels", site.channels},
                        {"sum", summary.sum},
                        {"max", summary.max},
                        {"median", summary.median},
                        {"quantile_90", summary.quantile90},
                        {"quantile_99", summary.quantile99},
                        {"top_1_percent_share", json_of(summary.top1_share)}};
    if (!site.top.empty()) sites[site.site]["top"] = site.top;
  }
  return {{"estimator", estimator.name},
          {"options", estimator.options},
          {"unit", estimator.unit},
          {"seconds", estimator.seconds},
          {"sum", total},
          {"node_mean_nll", estimator.probe_nll},
          {"linears", sites}};
}

}  // namespace

Json SensitivityReport::to_json() const {
  Json json;
  for (const Estimator& estimator : estimators)
    json["estimators"][estimator.label] = json_of(estimator);
  json["counts"] = {
      {"sequences", counts.sequences}, {"tokens", counts.tokens}, {"targets", counts.targets}};
  json["effective_tokens"] = effective_tokens;
  json["plan"] = plan.statistics.empty() ? Json() : plan.to_json();
  json["identity"] = identity;
  json["calibration"] = calibration;
  json["mean_nll"] = mean_nll < 0 ? Json() : Json(mean_nll);
  json["seconds"] = {{"collect", collect_seconds}, {"total", seconds}};
  json["statistics_bytes"] = stats_bytes;
  json["peak_rss_bytes"] = peak_rss_bytes;
  json["warnings"] = warnings;
  return json;
}

std::string SensitivityReport::text() const {
  std::ostringstream text;
  for (const Estimator& estimator : estimators) {
    std::vector<const SiteScores*> ranked;
    for (const SiteScores& site : estimator.sites)
      ranked.push_back(&site);
    std::stable_sort(ranked.begin(), ranked.end(), [](const SiteScores* a, const SiteScores* b) {
      return a->summary.sum > b->summary.sum;
    });
    Table table({estimator.label, "sum", "max", "median", "99 %", "top 1 % hold"});
    for (const SiteScores* site : ranked) {
      const ScoreSummary& s = site->summary;
      table.add({site->site, number(s.sum), number(s.max), number(s.median), number(s.quantile99),
                 fixed(100 * s.top1_share, 1) + " %"});
    }
    text << table.text() << "unit: " << estimator.unit << "; " << ranked.size() << " linears\n";
    for (const SiteScores* site : ranked) {
      if (site->top.empty()) continue;
      text << site->site << ":";
      for (const auto& [channel, score] : site->top)
        text << "  " << channel << " " << number(score);
      text << "\n";
    }
    text << "\n";
  }
  if (validation) text << validation->text() << "\n";
  text << detail::effective_tokens_line(effective_tokens, counts.tokens);
  text << "collected in " << human_seconds(collect_seconds) << ", all in " << human_seconds(seconds)
       << ", peak memory " << human_bytes(peak_rss_bytes) << "\n";
  return text.str();
}

}  // namespace ptq
