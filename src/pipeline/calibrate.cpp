#include "ptq/pipeline/calibrate.h"

#include <algorithm>
#include <chrono>
#include <sstream>

#include <ATen/ATen.h>

#include "collection.h"
#include "collection_plan.h"
#include "effective_tokens.h"
#include "partial_directory.h"
#include "ptq/core/cpu.h"
#include "ptq/core/version.h"
#include "ptq/io/file.h"
#include "ptq/io/memory.h"
#include "ptq/report/table.h"

namespace ptq {
namespace {

/// Refuses settings of plug-ins that are not collected.
void check_options(const CalibrateJob& job) {
  for (const auto& item : job.plugin_options.items())
    if (std::find(job.collect.begin(), job.collect.end(), item.key()) == job.collect.end())
      throw ConfigError("--set " + item.key() + ".…: this run collects no statistic of that name",
                        "add it to --collect; see ptq list");
}

}  // namespace

Json CalibrateReport::to_json() const {
  Json json = manifest.to_json();
  json["plan"] = plan.to_json();
  json["mean_nll"] = mean_nll < 0 ? Json() : Json(mean_nll);
  json["effective_tokens"] = effective_tokens;
  json["seconds"] = seconds;
  json["bytes"] = bytes;
  json["peak_rss_bytes"] = peak_rss_bytes;
  json["warnings"] = warnings;
  return json;
}

std::string CalibrateReport::text() const {
  std::ostringstream text;
  text << "statistics:";
  for (const auto& item : manifest.statistics.items())
    text << " " << item.key();
  text << "\nwindows: " << manifest.covered() << ", " << manifest.counts.tokens << " tokens\n";
  if (mean_nll >= 0)
    text << "mean NLL: " << fixed(mean_nll, 6) << " nats a token over " << manifest.counts.targets
         << " targets\n";
  text << detail::effective_tokens_line(effective_tokens, manifest.counts.tokens);
  text << human_bytes(bytes) << " of sums, " << human_seconds(seconds) << ", peak memory "
       << human_bytes(peak_rss_bytes) << "\n";
  return text.str();
}

CalibrateReport calibrate(const CalibrateJob& job, ProgressListener& listener) {
  const auto start = std::chrono::steady_clock::now();
  if (job.collect.empty())
    throw ConfigError("nothing to collect", "name statistics with --collect; see ptq list");
  if (job.data.request.files.empty())
    throw ConfigError("statistics need data", "name a text with --calibration FILE");
  check_options(job);
  const StatisticSet statistics(job.collect, job.plugin_options);
  if (statistics.needs_reference())
    throw ConfigError("cross-gram compares two models, and ptq calibrate runs only one",
                      "a quantizer that needs it collects it while it quantizes");
  const detail::CalibrationSession session(
      job.model, job.data, [&] { listener.poll(); }, job.device);
  for (const std::string& warning : session.warnings)
    listener.warning(warning);
  const Json identity = {
      {"version", version()},
      {"cpu", cpu_level_name(cpu_level())},
      {"device", job.device},
      {"statistics", statistics.options()},
      {"shard", {{"first", session.windows.first}, {"end", session.windows.end}}},
      {"sequences_per_set", session.sequences_per_set},
      {"inputs", session.whole_identity()}};
  std::vector<std::filesystem::path> inputs = job.data.request.files;
  inputs.push_back(job.model);
  detail::PartialDirectory partial({job.out, inputs, "manifest.json", kStatsFormat, job.overwrite},
                                   identity, job.resume);
  CalibrateReport report;
  report.plan = detail::plan_collection(session, statistics);
  try {
    detail::announce(report.plan, partial.work(), listener);
    report.mean_nll = detail::collect_statistics(session, statistics, partial.work(), listener);
  } catch (const std::exception& error) {
    partial.discard_after(error);
    throw;
  }
  StatsStore store = StatsStore::open(partial.work());
  report.manifest = store.manifest();
  report.effective_tokens = detail::effective_tokens(store, session.sites);
  partial.finish({detail::kFinishedParts});
  report.warnings = session.warnings;
  report.bytes = bytes_in(job.out);
  report.peak_rss_bytes = peak_rss_bytes();
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return report;
}

}  // namespace ptq
