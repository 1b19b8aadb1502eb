
#include "ptq/calib/store.h"
#include "ptq/io/json.h"

namespace ptq {
namespace {

constexpr int64_t kVersion = 1;

/// Reads the fields of a manifest; each fault names the file and the field.
class Fields {
 public:
  Fields(const Json& json, const std::filesystem::path& file) : json_(json), file_(file) {
    if (!json.is_object()) throw fault("is not a JSON object");
  }

  FormatError fault(const std::string& what) const {
    return FormatError(file_.string() + ": " + what, "collect these statistics again");
  }

  const Json& value(const std::string& key) const {
    if (!json_.contains(key)) throw fault("has no field " + in_quotes(key));
    return json_.at(key);
  }

  const Json& object(const std::string& key) const {
    if (!value(key).is_object()) throw fault(in_quotes(key) + " is not an object");
    return value(key);
  }

  int64_t count(const std::string& key) const {
    if (!is_count(value(key)))
      throw fault(in_quotes(key) + " is " + value(key).dump() + ", not a count");
    return value(key).get<int64_t>();
  }

  std::vector<WindowRange> windows(const std::string& key, int64_t total) const {
    std::vector<WindowRange> windows;
    for (const Json& range : value(key)) {
      if (!range.is_array() || range.size() != 2 || !is_count(range[0]) || !is_count(range[1]))
        throw fault(in_quotes(key) + " holds " + range.dump() + ", not [first, end]");
      windows.push_back({range[0].get<int64_t>(), range[1].get<int64_t>()});
      const int64_t least = windows.size() < 2 ? 0 : windows[windows.size() - 2].end;
      if (windows.back().first < least || windows.back().end <= windows.back().first ||
          windows.back().end > total)
        throw fault(in_quotes(key) + " holds " + range.dump() + ", which does not fit " +
                    std::to_string(total) + " windows in ascending order");
    }
    return windows;
  }

 private:
  static bool is_count(const Json& value) {
    return value.is_number_unsigned() && value.get<uint64_t>() < uint64_t{1} << 62;
  }

  const Json& json_;
  const std::filesystem::path& file_;
};

int64_t windows_in(const std::vector<WindowRange>& ranges) {
  int64_t count = 0;
  for (const WindowRange& range : ranges)
    count += range.end - range.first;
  return count;
}

}  // namespace

bool StoreManifest::complete() const {
  return windows_in(windows) == windows_total;
}

std::string StoreManifest::covered() const {
  std::string text;
  for (const WindowRange& range : windows)
    text += (text.empty() ? "" : ", ") + std::to_string(range.first) + "-" +
            std::to_string(range.end - 1);
  return text + " of " + std::to_string(windows_total);
}

Json StoreManifest::to_json() const {
  Json ranges = Json::array();
  for (const WindowRange& range : windows)
    ranges.push_back({range.first, range.end});
  return {{"format", kStatsFormat},         {"version", kVersion},
          {"identity", identity},           {"statistics", statistics},
          {"sequences", counts.sequences},  {"tokens", counts.tokens},
          {"targets", counts.targets},      {"windows", ranges},
          {"windows_total", windows_total}, {"blocks", blocks}};
}

StoreManifest StoreManifest::from_json(const Json& json, const std::filesystem::path& file) {
  const Fields fields(json, file);
  if (fields.value("format") != kStatsFormat)
    throw fields.fault("is not the manifest of a store of statistics");
  if (const int64_t version = fields.count("version"); version != kVersion)
    throw UnsupportedError(file.string() + ": version " + std::to_string(version) +
                           " of the store is not known to this program, only " +
                           std::to_string(kVersion));
  StoreManifest manifest;
  manifest.identity = fields.object("identity");
  manifest.statistics = fields.object("statistics");
  for (const auto& item : manifest.statistics.items())
    if (!item.value().is_object())
      throw fields.fault("\"statistics\" gives " + in_quotes(item.key()) + " options that are " +
                         item.value().dump());
  manifest.counts = {fields.count("sequences"), fields.count("tokens"), fields.count("targets")};
  manifest.windows_total = fields.count("windows_total");
  manifest.windows = fields.windows("windows", manifest.windows_total);
  manifest.blocks = fields.count("blocks");
  if (windows_in(manifest.windows) != manifest.counts.sequences)
    throw fields.fault("counts " + std::to_string(manifest.counts.sequences) +
                       " sequences, but the windows " + manifest.covered());
  return manifest;
}

}  // namespace ptq
