#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>

#include "ptq/io/checkpoint.h"

namespace ptq::testing {

/// Tensors in memory; remembers what was released.
class MemorySource : public TensorSource {
 public:
  explicit MemorySource(std::map<std::string, at::Tensor> tensors) : tensors_(std::move(tensors)) {}
  bool contains(const std::string& name) const override { return tensors_.count(name) > 0; }
  at::Tensor tensor(const std::string& name) const override;
  std::vector<std::string> names() const override;
  void release(const std::string& name) const override { released_.insert(name); }

  const std::set<std::string>& released() const& { return released_; }

 private:
  std::map<std::string, at::Tensor> tensors_;
  mutable std::set<std::string> released_;
};

/// A model of random weights: what a checkpoint directory holds.
struct TinyModel {
  Json config;
  std::map<std::string, at::Tensor> tensors;

  std::shared_ptr<MemorySource> source() const { return std::make_shared<MemorySource>(tensors); }
  /// Writes config.json and model.safetensors into `directory`, made if absent.
  void write(const std::filesystem::path& directory) const;
};

/// Sizes and choices of a Llama-like model.
struct TinyLlamaOptions {
  std::string model_type = "llama";
  int64_t vocab = 96, hidden = 48, intermediate = 80, blocks = 2, heads = 4, kv_heads = 2;
  int64_t head_dim = 12;
  bool bias = false, tied = false;
  at::ScalarType dtype = at::kFloat;
  uint64_t seed = 1;
};
TinyModel tiny_llama(const TinyLlamaOptions& options = {});

/// Sizes and choices of an OPT model.
struct TinyOptOptions {
  int64_t vocab = 96, hidden = 48, intermediate = 80, blocks = 2, heads = 4;
  int64_t max_positions = 64, embedding = 48;
  bool norm_before = true;
  uint64_t seed = 1;
};
TinyModel tiny_opt(const TinyOptOptions& options = {});

/// Random token ids, int64 [batch, seq], the same for the same arguments.
at::Tensor random_tokens(int64_t batch, int64_t seq, int64_t vocab, uint64_t seed = 7);

}  // namespace ptq::testing
