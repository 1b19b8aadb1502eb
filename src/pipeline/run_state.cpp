#include "run_state.h"

#include <chrono>
#include <stdexcept>

#include "ptq/io/file.h"
#include "ptq/io/json.h"

namespace ptq::detail {

void require_same_run(const Json& now, const Json& then, const std::filesystem::path& work) {
  std::string list;
  for (const std::string& one : differences(now, then))
    list += "\n  " + one;
  if (!list.empty())
    throw ConfigError("the unfinished run in " + work.string() + " is another one:" + list,
                      "--overwrite without --resume starts afresh");
}

RunState::RunState(std::filesystem::path partial_directory, std::shared_future<Json> identity)
    : file_(std::move(partial_directory) / "progress.json"), identity_(std::move(identity)) {}

bool RunState::resume() {
  if (!std::filesystem::exists(file_)) return false;
  const Json state = read_json_file(file_);
  if (!state.is_object() || !state.contains("identity") || !state.contains("blocks") ||
      !state.at("blocks").is_array())
    throw FormatError(file_.string() + " is not the progress of a run",
                      "--overwrite without --resume starts afresh");
  require_same_run(identity_.get(), state.at("identity"), file_.parent_path());
  for (const Json& block : state.at("blocks")) {
    std::vector<SiteReport> reports;
    for (const Json& site : block)
      reports.push_back(SiteReport::from_json(site));
    blocks_.push_back(std::move(reports));
  }
  return true;
}

void RunState::keep(int64_t count) {
  blocks_.resize(static_cast<size_t>(count));
}

bool RunState::finished(int64_t index) const {
  return index < static_cast<int64_t>(blocks_.size());
}

const std::vector<SiteReport>& RunState::reports(int64_t index) const {
  return blocks_.at(static_cast<size_t>(index));
}

void RunState::record(int64_t index, const std::vector<SiteReport>& reports) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (index != static_cast<int64_t>(blocks_.size()))
    throw std::logic_error("blocks are recorded in order");
  blocks_.push_back(reports);
  if (identity_.wait_for(std::chrono::seconds(0)) == std::future_status::ready) write();
}

void RunState::save() {
  identity_.wait();
  const std::lock_guard<std::mutex> lock(mutex_);
  write();
}

void RunState::write() const {
  Json blocks = Json::array();
  for (const auto& reports : blocks_) {
    Json sites = Json::array();
    for (const SiteReport& site : reports)
      sites.push_back(site.to_json());
    blocks.push_back(std::move(sites));
  }
  write_file_atomically(file_,
                        Json{{"identity", identity_.get()}, {"blocks", blocks}}.dump() + "\n");
}

}  // namespace ptq::detail
