#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <ATen/core/Tensor.h>

#include "ptq/core/options.h"
#include "ptq/io/directory_lock.h"
#include "ptq/io/file.h"
#include "ptq/io/output_directory.h"

namespace ptq {

/// Called with a tensor's name when its bytes are written.
using TensorWritten = std::function<void(const std::string&)>;

/// Where a CheckpointWriter writes and what it may replace.
struct CheckpointWriterOptions {
  std::filesystem::path directory;  ///< the output, absent until `finish`
  std::filesystem::path input;      ///< the model directory that side files are copied from
  int shards = 1;                   ///< how many shards there will be
  bool overwrite = false;           ///< may replace an existing output or unfinished run
  bool resume = false;              ///< goes on with the unfinished run that `directory` has
};

/// Writes a model directory one shard at a time into `<directory>.ptq-partial` and renames it when
/// it is complete, so that the output is whole or absent.
class CheckpointWriter {
 public:
  /// Makes or reopens the partial directory and locks it against a second run.  Throws as
  /// check_output, whose marker is config.json, and ConfigError if an unfinished run exists and may
  /// not be replaced or if another run holds the lock.
  explicit CheckpointWriter(CheckpointWriterOptions options);
  ~CheckpointWriter();
  CheckpointWriter(const CheckpointWriter&) = delete;
  CheckpointWriter& operator=(const CheckpointWriter&) = delete;

  /// `<directory>.ptq-partial`, where a run may keep its own state; gone after `finish` or
  /// `discard`.  `progress.json` and files named `*.ptq-state` are left out of the output.
  const std::filesystem::path& partial_directory() const& { return partial_; }
  /// The file of shard `index`, 0 … shards − 1, in the partial directory.
  std::filesystem::path shard_path(int index) const;
  /// Whether shard `index` is written and readable.
  bool has_shard(int index) const;
  /// Writes shard `index`; on return it survives a crash.  Throws ResourceError when the disk is
  /// full, std::logic_error for an index out of range.
  /// `written`, if given, may release the tensor's memory, and may throw to stop: nothing of the
  /// shard remains then.
  void add_shard(int index, const std::map<std::string, at::Tensor>& tensors,
                 const TensorWritten& written = {});

  /// Copies the side files, writes the index and config.json, and renames the directory to its
  /// final name, replacing an existing output if that was allowed.  Throws std::logic_error if a
  /// shard is missing or a tensor is in two shards.
  /// `last`, if given, is called when all these files are in the partial directory, before the
  /// rename: the place to hash them and to write the manifest.
  void finish(const Json& config, const std::function<void()>& last = {});
  /// Removes the unfinished run: for errors that a resumed run would meet again.
  void discard();

 private:
  OutputDirectory place() const;
  void open_partial();
  Json index_of_shards() const;

  CheckpointWriterOptions options_;
  std::filesystem::path partial_;
  std::optional<DirectoryLock> lock_;
};

/// Bytes on disk of the unfinished run of `options.directory` that a writer with these options need
/// not find free again: all of it when it starts afresh, for it is removed first; the shards in
/// front that are kept when it resumes, without the last of them and that of the rest, which may be
/// written again beside their old copies.
int64_t recoverable_bytes(const CheckpointWriterOptions& options);

/// The files of a model directory that are neither weights, their index, config.json nor the
/// manifest of an earlier run: tokenizer, generation config, chat template, licence.  Top level
/// only, symbolic links followed, sorted.
std::vector<std::filesystem::path> side_files(const std::filesystem::path& directory);

/// Copies `side_files(from)` into `to` byte for byte.  Throws ResourceError when the disk is full.
void copy_side_files(const std::filesystem::path& from, const std::filesystem::path& to);

}  // namespace ptq
