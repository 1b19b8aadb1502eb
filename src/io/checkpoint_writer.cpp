#include "ptq/io/checkpoint_writer.h"

#include <cstdio>
#include <set>
#include <stdexcept>
#include <system_error>
#include <utility>

#include <ATen/ATen.h>

#include "atomic_file.h"
#include "mapped_file.h"
#include "model_directory.h"
#include "posix.h"
#include "ptq/io/json.h"
#include "ptq/io/safetensors.h"
#include "safetensors_write.h"

namespace ptq {
namespace fs = std::filesystem;
namespace {

std::string shard_name(int index, int shards) {
  char name[64];
  std::snprintf(name, sizeof name, "model-%05d-of-%05d.safetensors", index + 1, shards);
  return name;
}

}  // namespace

CheckpointWriter::CheckpointWriter(CheckpointWriterOptions options) : options_(std::move(options)) {
  if (options_.shards < 1) throw std::logic_error("a checkpoint has at least one shard");
  options_.directory = without_trailing_separator(options_.directory);
  if (options_.directory.empty()) throw ConfigError("the output directory has no name");
  partial_ = partial_of(options_.directory);
  try {
    check_output(place());
    open_partial();
  } catch (const fs::filesystem_error& error) {
    throw_write_error("use", options_.directory, error.code().value());
  }
}

CheckpointWriter::~CheckpointWriter() = default;

OutputDirectory CheckpointWriter::place() const {
  return {options_.directory, {options_.input}, kConfigFile, "", options_.overwrite};
}

void CheckpointWriter::open_partial() {
  const bool exists = path_exists(partial_);
  if (exists && !options_.resume && !options_.overwrite)
    throw ConfigError("an unfinished run is in " + shown(partial_),
                      "--resume goes on with it, --overwrite starts afresh");
  std::error_code error;
  fs::create_directories(partial_, error);
  if (error) throw_write_error("create", partial_, error.value());
  lock_.emplace(partial_);
  if (options_.resume && !options_.overwrite && path_exists(partial_ / kIdentityFile))
    throw ConfigError("the unfinished run in " + shown(partial_) + " is of another command",
                      "--overwrite without --resume starts afresh");
  std::set<fs::path> shards;
  for (int i = 0; i < options_.shards; ++i)
    shards.insert(shard_path(i));
  for (const auto& entry : fs::directory_iterator(partial_)) {
    // A resumed run keeps its state and shards, not what a kill left half written.
    const std::string extension = entry.path().extension().string();
    const bool stale =
        extension == ".tmp" || (extension == ".safetensors" && shards.count(entry.path()) == 0);
    if (!options_.resume || stale) remove_tree(entry.path());
  }
  sync_directory(options_.directory.parent_path());
}

fs::path CheckpointWriter::shard_path(int index) const {
  if (index < 0 || index >= options_.shards)
    throw std::logic_error("shard " + std::to_string(index) + " of " +
                           std::to_string(options_.shards));
  return partial_ / shard_name(index, options_.shards);
}

bool CheckpointWriter::has_shard(int index) const {
  const fs::path path = shard_path(index);
  if (!path_exists(path)) return false;
  try {
    const SafetensorsFile readable(path);
    return true;
  } catch (const FormatError&) {
    return false;  // a disk that lost data: the shard is written again
  }
}

void CheckpointWriter::add_shard(int index, const std::map<std::string, at::Tensor>& tensors,
                                 const TensorWritten& written) {
  write_safetensors(shard_path(index), tensors, {{"format", "pt"}}, written);
}

Json CheckpointWriter::index_of_shards() const {
  Json weight_map = Json::object();
  uint64_t total_bytes = 0;
  for (int i = 0; i < options_.shards; ++i) {
    const SafetensorsFile shard(shard_path(i));
    for (const auto& [name, entry] : shard.entries()) {
      if (weight_map.contains(name))
        throw std::logic_error("the tensor " + in_quotes(name) + " was written to two shards");
      weight_map[name] = shard.path().filename().string();
      total_bytes += entry.end - entry.begin;
    }
  }
  return {{"metadata", {{"total_size", total_bytes}}}, {"weight_map", std::move(weight_map)}};
}

void CheckpointWriter::finish(const Json& config, const std::function<void()>& last) {
  for (int i = 0; i < options_.shards; ++i)
    if (!has_shard(i)) throw std::logic_error("shard " + std::to_string(i) + " is missing");
  if (!options_.input.empty()) copy_side_files(options_.input, partial_);
  write_file_atomically(partial_ / kIndexFile, index_of_shards().dump(2) + "\n");
  write_file_atomically(partial_ / kConfigFile, config.dump(2) + "\n");
  if (last) last();

  complete_output(place());
  // Only now: until the rename they are what a resumed run starts from.
  for (const auto& entry : fs::directory_iterator(options_.directory))
    if (entry.path().filename() == kProgressFile || entry.path().extension() == kStateExtension)
      remove_tree(entry.path());
  lock_.reset();
}

void CheckpointWriter::discard() {
  remove_tree(partial_);
  lock_.reset();
}

int64_t recoverable_bytes(const CheckpointWriterOptions& options) {
  const fs::path partial = partial_of(options.directory);
  std::error_code error;  // what cannot be looked at spares nothing
  const auto size_of = [&](const fs::path& file) {
    const uintmax_t size = fs::file_size(file, error);
    return error ? 0 : static_cast<int64_t>(size);
  };
  int64_t bytes = 0;
  if (!options.resume) {
    // Not by range-for, which throws when reading the directory fails on the way.
    std::error_code listing;
    for (fs::directory_iterator entry(partial, listing), end; !listing && entry != end;
         entry.increment(listing))
      bytes += size_of(entry->path());
    return bytes;
  }
  int64_t last = 0;
  for (int i = 0; i + 1 < options.shards; ++i) {
    const int64_t size = size_of(partial / shard_name(i, options.shards));
    if (error) break;
    bytes += last;
    last = size;
  }
  return bytes;
}

void copy_side_files(const fs::path& from, const fs::path& to) {
  for (const fs::path& path : side_files(from)) {
    int64_t size = 0;
    open_regular_file(path, size);
    AtomicFile copy(to / path.filename());
    if (size > 0) {
      const MappedFile source(path);
      copy.write(source.data(), source.size());
    }
    copy.commit();
  }
}

}  // namespace ptq
