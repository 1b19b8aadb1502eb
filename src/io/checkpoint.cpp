#include "ptq/io/checkpoint.h"

#include <algorithm>
#include <set>
#include <system_error>
#include <utility>

#include "model_directory.h"
#include "posix.h"
#include "ptq/io/json.h"

namespace ptq {
namespace {

/// The object tensor name → file name of an index file.
std::map<std::string, std::string> read_weight_map(const std::filesystem::path& path) {
  const Json index = read_json_file(path);
  const std::string where = shown(path);
  if (!index.is_object() || !index.contains("weight_map") || !index["weight_map"].is_object())
    throw FormatError(where + " has no object weight_map");
  if (index["weight_map"].empty()) throw FormatError(where + ": weight_map is empty");
  std::map<std::string, std::string> map;
  for (const auto& [name, value] : index["weight_map"].items()) {
    if (!value.is_string())
      throw FormatError(where + ": the file of tensor " + in_quotes(name) + " is not a string");
    const std::string file = value.get<std::string>();
    if (file.empty() || file.find_first_of(std::string("/\\\0", 3)) != std::string::npos ||
        file == "." || file == "..")
      throw FormatError(where + ": the file " + in_quotes(file) + " of tensor " + in_quotes(name) +
                        " is not a file name of this directory");
    map[name] = file;
  }
  return map;
}
}  // namespace

Checkpoint::Checkpoint(std::filesystem::path directory) : directory_(std::move(directory)) {
  check_model_directory(directory_);
  const std::filesystem::path config = directory_ / kConfigFile;
  if (!path_exists(config))
    throw FormatError(shown(directory_) + " has no config.json", "is this a model directory?");
  config_ = read_json_file(config);
  if (!config_.is_object()) throw FormatError(shown(config) + " is not a JSON object");
  // As transformers: the single file wins where both are present.
  if (path_exists(directory_ / kSingleFile))
    open_single(directory_ / kSingleFile);
  else
    open_shards(directory_ / kIndexFile);
}

void Checkpoint::open_single(const std::filesystem::path& file) {
  const auto shard = std::make_shared<const SafetensorsFile>(file);
  if (shard->entries().empty()) throw FormatError(shown(file) + " holds no tensor");
  files_ = {file};
  for (const auto& entry : shard->entries())
    shard_of_[entry.first] = shard;
}

void Checkpoint::open_shards(const std::filesystem::path& index) {
  const std::map<std::string, std::string> weight_map = read_weight_map(index);
  std::set<std::string> files;
  for (const auto& entry : weight_map)
    files.insert(entry.second);
  for (const std::string& file : files) {
    const std::filesystem::path path = directory_ / file;
    if (!path_exists(path))
      throw FormatError(shown(index) + ": the file " + in_quotes(file) + " is missing",
                        "fetch the checkpoint again");
    const auto shard = std::make_shared<const SafetensorsFile>(path);
    files_.push_back(path);
    for (const auto& entry : shard->entries()) {
      const auto listed = weight_map.find(entry.first);
      if (listed == weight_map.end())
        throw FormatError(shown(path) + " holds the tensor " + in_quotes(entry.first) + ", which " +
                          shown(index.filename()) + " does not list");
      if (!shard_of_.emplace(entry.first, shard).second)
        throw FormatError("the tensor " + in_quotes(entry.first) + " is in two files, " +
                          shown(shard_of_[entry.first]->path()) + " and " + shown(path));
    }
  }
  for (const auto& [name, file] : weight_map) {
    const auto found = shard_of_.find(name);
    if (found == shard_of_.end() || found->second->path().filename() != file)
      throw FormatError(shown(index) + " puts the tensor " + in_quotes(name) + " into " +
                        in_quotes(file) + ", which does not hold it");
  }
}

const SafetensorsFile& Checkpoint::shard(const std::string& name) const {
  const auto found = shard_of_.find(name);
  if (found == shard_of_.end())
    throw FormatError("the checkpoint " + shown(directory_) + " has no tensor " + in_quotes(name));
  return *found->second;
}

bool Checkpoint::contains(const std::string& name) const {
  return shard_of_.count(name) > 0;
}

at::Tensor Checkpoint::tensor(const std::string& name) const {
  return shard(name).tensor(name);
}

const TensorEntry& Checkpoint::entry(const std::string& name) const& {
  return shard(name).entries().at(name);
}

std::vector<std::string> Checkpoint::names() const {
  std::vector<std::string> names;
  for (const auto& entry : shard_of_)
    names.push_back(entry.first);
  return names;
}

void Checkpoint::release(const std::string& name) const {
  const auto found = shard_of_.find(name);
  if (found != shard_of_.end()) found->second->release(name);
}

}  // namespace ptq
