#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "ptq/calib/collector.h"

namespace ptq {
class SafetensorsFile;

/// The windows first … end − 1 of a text, counted from 0.
struct WindowRange {
  int64_t first = 0, end = 0;
};

/// `format` in the manifest of every store.
constexpr const char* kStatsFormat = "ptq-statistics";

/// What a store of statistics says of itself, in its manifest.json.
struct StoreManifest {
  /// What decides the sums, by topic: {"model": {…}, "tokenizer": {…}, "data": {…}, …}, hashes and
  /// settings; not the windows.
  Json identity = Json::object();
  Json statistics = Json::object();  ///< {name: {option: value}}, as StatisticSet::options
  DataCounts counts;
  std::vector<WindowRange> windows;  ///< what the sums are over: ascending, apart
  int64_t windows_total = 0;         ///< how many the text has for these settings
  int64_t blocks = 0;

  /// True if the sums are over all windows.
  bool complete() const;
  /// "0-15, 32-47 of 64": `windows` for messages.
  std::string covered() const;

  Json to_json() const;
  /// Throws FormatError naming `file` and the field.
  static StoreManifest from_json(const Json& json, const std::filesystem::path& file);
};

/// Where block `index` of the store `directory` lies: block-00012.safetensors.
std::filesystem::path stats_block_file(const std::filesystem::path& directory, int64_t index);

/// Adds `sums`, by key, to those that the parts of the data before `part`, counted from 0, left in
/// `file`, in place, and writes the result, whole or not at all.  The file counts its parts: 0
/// starts it anew, and a part that is in it already, as after an interruption, is left out.  Throws
/// FormatError if the file has other parts, tensors or shapes, NumericalError for a sum that is not
/// finite, and as write_safetensors.
void add_stats_part(const std::filesystem::path& file, int64_t part,
                    const std::map<std::string, at::Tensor>& sums);

/// The same with what `collector` has finished for `sites`, all of block `index`; where this is not
/// the first part, `collector` has the sums of all parts afterwards, unless the file had this one
/// already.
void write_stats_block(const std::filesystem::path& directory, int64_t index,
                       const std::vector<LinearSite>& sites, const Collector& collector,
                       int64_t part = 0);

/// Makes the blocks in `directory` a store; to be written last.
void write_stats_manifest(const std::filesystem::path& directory, const StoreManifest& manifest);

/// Sums of a model's linears that a calibration left on disk.  Not thread-safe.
class StatsStore {
 public:
  /// Throws ConfigError if there is no store, FormatError naming the file that is broken or
  /// missing.
  static StatsStore open(const std::filesystem::path& directory);
  ~StatsStore();
  StatsStore(StatsStore&&) noexcept;
  StatsStore& operator=(StatsStore&&) noexcept;

  const StoreManifest& manifest() const& { return manifest_; }

  /// Throws ConfigError that says what is missing, and the command that collects it.
  void require(const std::vector<std::string>& names) const;
  /// Throws ConfigError that names every difference, unless each topic of `identity` is the
  /// store's.
  void check_model(const Json& identity) const;

  /// What was collected for `site`: `names` (each in the store), or all.  Linears that read one
  /// input share what is of the input, and derived results where nothing else is asked.  The
  /// tensors are read-only views of the file; those of one block are kept until another is asked
  /// for.  Throws FormatError naming file and tensor if one is missing, misshapen or not finite.
  SiteStats site_stats(const LinearSite& site, const std::vector<std::string>& names);
  /// The same with everything that the store has.
  SiteStats site_stats(const LinearSite& site);

 private:
  StatsStore(std::filesystem::path directory, StoreManifest manifest);
  std::shared_ptr<Sums> read_sums(const std::string& owner, const std::string& name,
                                  const LinearSite& site);

  std::filesystem::path directory_;
  StoreManifest manifest_;
  StatisticSet statistics_;
  int64_t block_ = -1;
  std::unique_ptr<SafetensorsFile> file_;              // of block_
  std::map<std::string, std::shared_ptr<Sums>> sums_;  // of block_, by owner and statistic
  std::map<std::string, SiteStats> inputs_;            // of block_, by input and names
};

/// Adds the stores `inputs`, over windows of one text apart from each other, into the new store
/// `out`, and returns its manifest: counts exact, sums in float64 before they are stored, whatever
/// the order of `inputs`.  Windows may be missing (StoreManifest::complete).  Throws ConfigError
/// for windows in two inputs, stores that differ in anything else, and an `out` that exists.
StoreManifest merge_stores(const std::vector<std::filesystem::path>& inputs,
                           const std::filesystem::path& out);

}  // namespace ptq
