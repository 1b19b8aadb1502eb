#include "calibration_session.h"

#include <algorithm>

#include <ATen/ATen.h>

#include "calibration_windows.h"
#include "input_identity.h"
#include "ptq/model/device.h"

namespace ptq {

Json CalibrationData::to_json() const {
  return {{"samples", request.samples},
          {"seqlen", request.seqlen},
          {"windows", request.windows},
          {"seed", request.seed},
          {"labels", labels}};
}

namespace detail {

CalibrationSession::CalibrationSession(const std::filesystem::path& model,
                                       const CalibrationData& data,
                                       const std::function<void()>& the_poll,
                                       const std::string& device)
    : input(open_directory(model, nullptr, open_device(device))),
      sites(input.model->sites()),
      poll(the_poll) {
  labels = {data.labels == "sampled", data.request.seed};
  if (data.labels != "data" && data.labels != "sampled")
    throw ConfigError("--labels \"" + data.labels + "\" is unknown", "data or sampled");
  if (!data.request.files.empty()) read_windows(model, data);
  identity = input_identity(*input.checkpoint, model, poll);
  data_identity["settings"] = data.to_json();
}

void CalibrationSession::read_windows(const std::filesystem::path& model,
                                      const CalibrationData& data) {
  CalibrationWindows read = read_calibration(data.request, model, input.model->config());
  warnings = std::move(read.warnings);
  calibration = std::move(read.report);
  windows_total = read.tokens.size(0);
  if (data.shard_count < 1 || data.shard < 1 || data.shard > data.shard_count)
    throw ConfigError("--shard " + std::to_string(data.shard) + "/" +
                          std::to_string(data.shard_count) + " is not a part of the whole",
                      "write --shard 1/4 … 4/4");
  windows = {windows_total * (data.shard - 1) / data.shard_count,
             windows_total * data.shard / data.shard_count};
  if (windows.first == windows.end)
    throw ConfigError("shard " + std::to_string(data.shard) + " of " +
                          std::to_string(data.shard_count) + " has no window: there are " +
                          std::to_string(windows_total),
                      "use fewer shards");
  data_identity["ids"] = token_digest(read.tokens);
  tokens = read.tokens.contiguous().narrow(0, windows.first, windows.end - windows.first);
  sequences_per_set = data.sequences_per_set;
  if (sequences_per_set <= 0)
    sequences_per_set = std::max<int64_t>(
        1, kSetStateBytes / GradientSweep::state_bytes(*input.model, tokens.size(1)));
  sequences_per_set = std::min(sequences_per_set, tokens.size(0));
}

std::vector<WindowSet> CalibrationSession::window_sets() const {
  std::vector<WindowSet> sets;
  for (int64_t first = 0; first < tokens.size(0); first += sequences_per_set)
    sets.push_back({tokens.narrow(0, first, std::min(sequences_per_set, tokens.size(0) - first)),
                    windows.first + first});
  return sets;
}

std::vector<LinearSite> CalibrationSession::block_sites(int64_t index) const {
  std::vector<LinearSite> found;
  for (const LinearSite& site : sites)
    if (site.block == index) found.push_back(site);
  return found;
}

Json CalibrationSession::whole_identity() const {
  Json whole = identity;
  whole["data"] = data_identity;
  return whole;
}

}  // namespace detail
}  // namespace ptq
