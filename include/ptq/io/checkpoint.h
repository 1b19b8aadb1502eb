#pragma once
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "ptq/core/options.h"
#include "ptq/io/safetensors.h"

namespace ptq {

/// Anything that yields tensors by name.
class TensorSource {
 public:
  virtual ~TensorSource() = default;
  /// Whether there is a tensor of this name.
  virtual bool contains(const std::string& name) const = 0;
  /// The tensor as stored.  Throws FormatError naming it if absent.
  virtual at::Tensor tensor(const std::string& name) const = 0;
  /// All names, sorted.
  virtual std::vector<std::string> names() const = 0;
  /// Drops cached memory of a tensor that will not be needed soon; it stays readable.
  virtual void release(const std::string& /*name*/) const {}
};

/// A Hugging Face model directory: config.json and either model.safetensors or the shards that
/// model.safetensors.index.json lists.
class Checkpoint : public TensorSource {
 public:
  /// Reads config.json and all headers.  Throws ConfigError if there is no such directory,
  /// FormatError for a broken config, index or shard, UnsupportedError (with how to convert) for
  /// weights in another file format.
  explicit Checkpoint(std::filesystem::path directory);

  bool contains(const std::string& name) const override;
  at::Tensor tensor(const std::string& name) const override;
  std::vector<std::string> names() const override;
  void release(const std::string& name) const override;

  /// The content of config.json, an object.
  const Json& config() const& { return config_; }
  const std::filesystem::path& directory() const& { return directory_; }
  /// The safetensors files, sorted by name.
  const std::vector<std::filesystem::path>& tensor_files() const& { return files_; }
  /// Where a tensor lies: dtype and shape without touching its data.  Throws FormatError if absent.
  const TensorEntry& entry(const std::string& name) const&;

 private:
  const SafetensorsFile& shard(const std::string& name) const;
  void open_single(const std::filesystem::path& file);
  void open_shards(const std::filesystem::path& index);

  std::filesystem::path directory_;
  Json config_;
  std::vector<std::filesystem::path> files_;
  std::map<std::string, std::shared_ptr<const SafetensorsFile>> shard_of_;
};

}  // namespace ptq
