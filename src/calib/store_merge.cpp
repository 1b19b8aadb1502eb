#include <algorithm>

#include <ATen/ATen.h>

#include "ptq/calib/store.h"
#include "ptq/io/json.h"
#include "ptq/io/safetensors.h"

namespace ptq {
namespace {

struct Input {
  std::filesystem::path directory;
  StoreManifest manifest;
};

/// The stores, by their first window.
std::vector<Input> open_all(const std::vector<std::filesystem::path>& directories) {
  std::vector<Input> inputs;
  for (const std::filesystem::path& directory : directories)
    inputs.push_back({directory, StatsStore::open(directory).manifest()});
  std::stable_sort(inputs.begin(), inputs.end(), [](const Input& a, const Input& b) {
    const auto first = [](const Input& input) {
      return input.manifest.windows.empty() ? -1 : input.manifest.windows.front().first;
    };
    return first(a) < first(b);
  });
  return inputs;
}

/// All of a manifest that its windows do not decide.
Json common_part(const StoreManifest& manifest) {
  return {{"identity", manifest.identity},
          {"statistics", manifest.statistics},
          {"windows_total", manifest.windows_total},
          {"blocks", manifest.blocks}};
}

void require_same(const Input& first, const Input& other) {
  std::string list;
  for (const std::string& one :
       differences(common_part(other.manifest), common_part(first.manifest)))
    list += "\n  " + one;
  if (!list.empty())
    throw ConfigError("the statistics in " + other.directory.string() +
                          " are not of one calibration with those in " + first.directory.string() +
                          ":" + list,
                      "merge shards of one text, model and settings");
}

/// The windows of all inputs, neighbours joined.
std::vector<WindowRange> united(const std::vector<Input>& inputs) {
  std::vector<std::pair<WindowRange, const Input*>> all;
  for (const Input& input : inputs)
    for (const WindowRange& range : input.manifest.windows)
      all.emplace_back(range, &input);
  std::sort(all.begin(), all.end(),
            [](const auto& a, const auto& b) { return a.first.first < b.first.first; });
  std::vector<WindowRange> windows;
  const Input* last = nullptr;
  for (const auto& [range, input] : all) {
    if (last != nullptr && range.first < windows.back().end)
      throw ConfigError("window " + std::to_string(range.first) + " is in " +
                            last->directory.string() + " and in " + input->directory.string(),
                        "merge every shard once");
    if (last != nullptr && range.first == windows.back().end)
      windows.back().end = range.end;
    else
      windows.push_back(range);
    last = input;
  }
  return windows;
}

/// The sum of one tensor over the files, in the dtype it is stored in.
at::Tensor added(const std::vector<SafetensorsFile>& files, const std::string& name) {
  const at::Tensor first = files.front().tensor(name);
  at::Tensor sum = first.to(at::kDouble, /*non_blocking=*/false, /*copy=*/true);
  for (size_t i = 1; i < files.size(); ++i) {
    const at::Tensor other = files[i].tensor(name);
    if (other.sizes() != first.sizes() || other.scalar_type() != first.scalar_type())
      throw FormatError(files[i].path().string() + ": " + name + " is not of the shape and dtype " +
                        "that it has in " + files.front().path().string());
    sum.add_(other);
    files[i].release(name);
  }
  files.front().release(name);
  if (!sum.isfinite().all().item<bool>())
    throw FormatError("the sum of " + name + " in " + files.front().path().string() +
                      " and the other stores is not finite");
  return sum.to(first.scalar_type());
}

void merge_block(const std::vector<Input>& inputs, int64_t index,
                 const std::filesystem::path& out) {
  std::vector<SafetensorsFile> files;
  for (const Input& input : inputs)
    files.emplace_back(stats_block_file(input.directory, index));
  std::map<std::string, at::Tensor> tensors;
  for (const auto& entry : files.front().entries())
    tensors[entry.first] = added(files, entry.first);
  for (const SafetensorsFile& file : files)
    for (const auto& entry : file.entries())
      if (!tensors.count(entry.first))
        throw FormatError(files.front().path().string() + " has no tensor " +
                          in_quotes(entry.first) + ", but " + file.path().string() + " has");
  write_safetensors(stats_block_file(out, index), tensors);
}

}  // namespace

StoreManifest merge_stores(const std::vector<std::filesystem::path>& inputs,
                           const std::filesystem::path& out) {
  if (inputs.empty()) throw ConfigError("there are no statistics to merge");
  if (std::filesystem::exists(out))
    throw ConfigError(out.string() + " exists already", "name a new folder");
  const std::vector<Input> opened = open_all(inputs);
  StoreManifest merged = opened.front().manifest;
  merged.counts = {};
  for (const Input& input : opened) {
    require_same(opened.front(), input);
    merged.counts.sequences += input.manifest.counts.sequences;
    merged.counts.tokens += input.manifest.counts.tokens;
    merged.counts.targets += input.manifest.counts.targets;
  }
  merged.windows = united(opened);
  std::error_code fault;
  std::filesystem::create_directories(out, fault);
  if (fault) throw ConfigError("cannot make the folder " + out.string() + ": " + fault.message());
  for (int64_t index = 0; index < merged.blocks; ++index)
    merge_block(opened, index, out);
  write_stats_manifest(out, merged);
  return merged;
}

}  // namespace ptq
