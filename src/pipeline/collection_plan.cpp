#include "collection_plan.h"

#include <algorithm>

#include "ptq/io/file.h"
#include "ptq/report/table.h"

namespace ptq {

int64_t CollectionPlan::disk_bytes() const {
  int64_t bytes = state_bytes;
  // A block's sums are written beside the file that they replace.
  for (const Row& row : statistics)
    bytes += row.stored_bytes + row.resident_bytes;
  return bytes;
}

Json CollectionPlan::to_json() const {
  Json rows = Json::array();
  for (const Row& row : statistics)
    rows.push_back({{"statistic", row.statistic},
                    {"resident_bytes", row.resident_bytes},
                    {"stored_bytes", row.stored_bytes}});
  return {{"statistics", rows},
          {"sequences", sequences},
          {"sequences_per_set", sequences_per_set},
          {"state_bytes", state_bytes},
          {"disk_bytes", disk_bytes()}};
}

std::vector<std::string> CollectionPlan::lines() const {
  std::vector<std::string> lines;
  for (const Row& row : statistics)
    lines.push_back(row.statistic + ": " + human_bytes(row.resident_bytes) +
                    " of memory at a time, " + human_bytes(row.stored_bytes) + " stored");
  std::string last = std::to_string(sequences) + " windows";
  if (sequences_per_set < sequences) last += " in sets of " + std::to_string(sequences_per_set);
  if (state_bytes > 0) last += ", whose states take " + human_bytes(state_bytes) + " of disk";
  lines.push_back(last + "; at most " + human_bytes(disk_bytes()) + " of disk while collecting");
  return lines;
}

namespace detail {
namespace {

CollectionPlan::Row row_of(const CalibrationSession& session, const StatisticSet& statistics,
                           const std::string& name) {
  CollectionPlan::Row row;
  row.statistic = name;
  row.stored_bytes = statistics.bytes(session.sites, name);
  for (int64_t index = 0; index < session.input.model->config().blocks; ++index)
    row.resident_bytes =
        std::max(row.resident_bytes, statistics.bytes(session.block_sites(index), name));
  return row;
}

}  // namespace

CollectionPlan plan_collection(const CalibrationSession& session, const StatisticSet& statistics,
                               const std::map<std::string, GradientProbe>& probes) {
  CollectionPlan plan;
  for (const std::string& name : statistics.names())
    plan.statistics.push_back(row_of(session, statistics, name));
  const StatisticSet gradient({"pooled-gradient"});
  for (const auto& [name, probe] : probes) {
    plan.statistics.push_back(row_of(session, gradient, "pooled-gradient"));
    plan.statistics.back().statistic = "gradients of " + name;
  }
  plan.sequences = session.tokens.size(0);
  plan.sequences_per_set = session.sequences_per_set;
  if (statistics.needs_gradients() || !probes.empty())
    plan.state_bytes = GradientSweep::state_bytes(
        *session.input.model, session.sequences_per_set * session.tokens.size(1));
  return plan;
}

void announce(const CollectionPlan& plan, const std::filesystem::path& directory,
              ProgressListener& listener) {
  for (const std::string& line : plan.lines())
    listener.note(line);
  require_disk_space(directory, plan.disk_bytes() - bytes_in(directory));
}

}  // namespace detail
}  // namespace ptq
