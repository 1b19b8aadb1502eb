#include "ptq/calib/store.h"

#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <set>
#include <stdexcept>
#include <utility>

#include <ATen/ATen.h>

#include "ptq/io/file.h"
#include "ptq/io/json.h"
#include "ptq/io/safetensors.h"

namespace ptq {
namespace {

constexpr const char* kManifest = "manifest.json";
constexpr const char* kParts = "parts";  // how many parts of the data a file's sums are over

std::string joined(const std::vector<std::string>& names, const std::string& between) {
  std::string text;
  for (const std::string& name : names)
    text += (text.empty() ? "" : between) + name;
  return text;
}

bool all_finite(const at::Tensor& tensor) {
  // Finite values may overflow in their sum, so that one only proves that all is well.
  return std::isfinite(tensor.sum().item<double>()) || tensor.isfinite().all().item<bool>();
}

/// 0 if the file does not say.
int64_t parts_in(const SafetensorsFile& file) {
  const auto found = file.metadata().find(kParts);
  return found == file.metadata().end() ? 0 : std::strtoll(found->second.c_str(), nullptr, 10);
}

/// Whose sums `statistic` keeps: the linear's own, or those of its input.
const std::string& owner_of(const Statistic& statistic, const LinearSite& site) {
  return statistic.needs_gradients() ? site.name : site.input;
}

StatisticSet statistics_of(const StoreManifest& manifest, const std::filesystem::path& file) {
  std::vector<std::string> names;
  for (const auto& item : manifest.statistics.items())
    names.push_back(item.key());
  try {
    return StatisticSet(names, manifest.statistics);
  } catch (const ConfigError& error) {
    throw FormatError(file.string() + ": " + error.what(), "another version may have written it");
  }
}

}  // namespace

std::filesystem::path stats_block_file(const std::filesystem::path& directory, int64_t index) {
  std::array<char, 32> name{};
  std::snprintf(name.data(), name.size(), "block-%05lld.safetensors",
                static_cast<long long>(index));
  return directory / name.data();
}

void add_stats_part(const std::filesystem::path& file, int64_t part,
                    const std::map<std::string, at::Tensor>& sums) {
  if (part > 0) {
    const SafetensorsFile earlier(file);
    const int64_t parts = parts_in(earlier);
    if (parts == part + 1) return;
    if (parts != part || earlier.entries().size() != sums.size())
      throw FormatError(file.string() + " holds " + std::to_string(earlier.entries().size()) +
                            " sums of " + std::to_string(parts) + " parts of the data, not " +
                            std::to_string(sums.size()) + " of " + std::to_string(part),
                        "--overwrite without --resume starts afresh");
    for (const auto& [key, tensor] : sums) {
      const at::Tensor before = earlier.tensor(key);
      if (before.sizes() != tensor.sizes() || before.scalar_type() != tensor.scalar_type())
        throw FormatError(file.string() + ": " + key + " has another shape or dtype than before");
      tensor.add_(before);
      earlier.release(key);
    }
  }
  for (const auto& [key, tensor] : sums)
    if (!all_finite(tensor))
      throw NumericalError("the statistic " + key + " is not finite",
                           "use fewer or other calibration texts");
  write_safetensors(file, sums, {{kParts, std::to_string(part + 1)}});
}

void write_stats_block(const std::filesystem::path& directory, int64_t index,
                       const std::vector<LinearSite>& sites, const Collector& collector,
                       int64_t part) {
  std::map<std::string, at::Tensor> tensors;
  for (const LinearSite& site : sites) {
    const SiteStats stats = collector.stats(site);
    for (const auto& [name, statistic] : collector.statistics().all())
      for (const auto& [sum, tensor] : *stats.all().at(name))
        tensors.emplace(owner_of(*statistic, site) + "." + name + "." + sum, tensor.cpu());
  }
  add_stats_part(stats_block_file(directory, index), part, tensors);
}

void write_stats_manifest(const std::filesystem::path& directory, const StoreManifest& manifest) {
  write_file_atomically(directory / kManifest, manifest.to_json().dump(2) + "\n");
}

StatsStore::StatsStore(std::filesystem::path directory, StoreManifest manifest)
    : directory_(std::move(directory)),
      manifest_(std::move(manifest)),
      statistics_(statistics_of(manifest_, directory_ / kManifest)) {}
StatsStore::~StatsStore() = default;
StatsStore::StatsStore(StatsStore&&) noexcept = default;
StatsStore& StatsStore::operator=(StatsStore&&) noexcept = default;

StatsStore StatsStore::open(const std::filesystem::path& directory) {
  const std::filesystem::path file = directory / kManifest;
  if (!std::filesystem::exists(file))
    throw ConfigError(directory.string() + " holds no statistics: it has no " + kManifest,
                      "a calibration that was stopped leaves none: run it again to finish it");
  StatsStore store(directory, StoreManifest::from_json(read_json_file(file), file));
  // Broken files are found now, not after hours of blocks.
  for (int64_t index = 0; index < store.manifest_.blocks; ++index) {
    const std::filesystem::path block = stats_block_file(directory, index);
    if (!std::filesystem::exists(block))
      throw FormatError(block.string() + " is missing, but " + file.string() + " counts " +
                            std::to_string(store.manifest_.blocks) + " blocks",
                        "collect these statistics again");
    SafetensorsFile{block};
  }
  return store;
}

void StatsStore::require(const std::vector<std::string>& names) const {
  std::vector<std::string> missing, all = statistics_.names();
  for (const std::string& name : names) {
    if (manifest_.statistics.contains(name)) continue;
    missing.push_back(name);
    all.push_back(name);
  }
  if (missing.empty()) return;
  throw ConfigError("the statistics in " + directory_.string() + " lack " + joined(missing, ", "),
                    "collect all into a new folder: ptq calibrate MODEL --calibration FILE "
                    "--collect " +
                        joined(all, ",") + " --out DIR");
}

void StatsStore::check_model(const Json& identity) const {
  std::vector<std::string> changed;
  for (const auto& topic : identity.items()) {
    const Json mine{{topic.key(), topic.value()}};
    const Json stored{{topic.key(), manifest_.identity.value(topic.key(), Json())}};
    for (std::string& one : differences(mine, stored))
      changed.push_back(std::move(one));
  }
  if (changed.empty()) return;
  throw ConfigError("the statistics in " + directory_.string() + " belong to something else:\n  " +
                        joined(changed, "\n  "),
                    "collect them for this model with ptq calibrate");
}

std::shared_ptr<Sums> StatsStore::read_sums(const std::string& owner, const std::string& name,
                                            const LinearSite& site) {
  std::shared_ptr<Sums>& sums = sums_[owner + "." + name];
  if (sums) return sums;
  auto read = std::make_shared<Sums>();
  const Statistic& statistic = *statistics_.all().at(name);
  for (const SumLayout& layout : statistic.layout(site.out_features, site.in_features)) {
    const std::string key = owner + "." + name + "." + layout.name;
    const at::Tensor tensor = file_->tensor(key);
    const std::string where = file_->path().string() + ": " + key;
    if (tensor.sizes() != at::IntArrayRef(layout.shape) || tensor.scalar_type() != layout.dtype)
      throw FormatError(where + " is " + c10::toString(tensor.scalar_type()) + " " +
                        Json(tensor.sizes().vec()).dump() + ", not " + c10::toString(layout.dtype) +
                        " " + Json(layout.shape).dump());
    if (!all_finite(tensor))
      throw FormatError(where + " holds NaN or infinity", "collect these statistics again");
    (*read)[layout.name] = tensor;
  }
  return sums = read;
}

SiteStats StatsStore::site_stats(const LinearSite& site, const std::vector<std::string>& names) {
  require(names);
  if (site.block < 0 || site.block >= manifest_.blocks)
    throw FormatError(directory_.string() + " has " + std::to_string(manifest_.blocks) +
                      " blocks, none for " + site.name);
  if (site.block != block_) {
    inputs_.clear();
    sums_.clear();
    file_ = std::make_unique<SafetensorsFile>(stats_block_file(directory_, site.block));
    block_ = site.block;
  }
  SiteStats stats;
  bool of_input = true;
  for (const std::string& name : std::set<std::string>(names.begin(), names.end())) {
    const Statistic& statistic = *statistics_.all().at(name);
    stats.set(name, read_sums(owner_of(statistic, site), name, site));
    of_input = of_input && !statistic.needs_gradients();
  }
  stats.set_counts(manifest_.counts);
  if (!of_input) return stats;
  // The first of the linears that share all this: the others get what is derived from it, too.
  return inputs_.try_emplace(site.input + " " + joined(names, " "), stats).first->second;
}

SiteStats StatsStore::site_stats(const LinearSite& site) {
  return site_stats(site, statistics_.names());
}

}  // namespace ptq
