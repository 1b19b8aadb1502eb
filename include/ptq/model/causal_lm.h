#pragma once
#include <memory>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "ptq/core/registry.h"
#include "ptq/io/checkpoint.h"
#include "ptq/model/block.h"
#include "ptq/model/config.h"
#include "ptq/model/weight_source.h"

namespace ptq {

/// A decoder-only model over a source of weights; blocks are loaded one at a time, arithmetic is
/// float32.
class CausalLM {
 public:
  virtual ~CausalLM() = default;

  virtual const ModelConfig& config() const = 0;

  /// Where the model computes (WeightSource::device).
  virtual at::Device device() const { return at::kCPU; }

  /// Every quantizable linear of all blocks, in execution order; loads no weight, checks no shape.
  virtual std::vector<LinearSite> sites() const = 0;

  /// int64 [batch, seq] on the CPU -> float32 [batch, seq, hidden] on the model's device.
  /// Throws std::logic_error for an id outside the vocabulary.
  virtual at::Tensor embed(const at::Tensor& tokens) const = 0;

  /// Loads block `index` (0 … blocks-1).  Throws FormatError for a missing tensor or a wrong shape,
  /// naming it.
  virtual std::unique_ptr<Block> load_block(int64_t index) const = 0;

  /// The final norm (and projection, where the family has one): float32 [tokens, hidden] ->
  /// [tokens, width of the head].
  virtual at::Tensor final_norm(const at::Tensor& hidden) const = 0;

  /// The LM head's weight as stored, [vocab, width], in the checkpoint's dtype, on the model's
  /// device; callers convert it chunk by chunk.
  virtual at::Tensor head_weight() const = 0;

  /// float32 [tokens, hidden] -> logits float32 [tokens, vocab]; for tests and small inputs (no
  /// chunking).
  at::Tensor logits(const at::Tensor& hidden) const;

  /// The checkpoint prefixes of everything that belongs to block `index` ("model.layers.3.").
  virtual std::string block_prefix(int64_t index) const = 0;
};

/// A model architecture (src/model/families): checks the config and builds a CausalLM over any
/// source of weights.
class ModelFamily {
 public:
  virtual ~ModelFamily() = default;
  /// Throws UnsupportedError for a config field that changes the computation and is not
  /// implemented, by name.
  virtual std::unique_ptr<CausalLM> open(WeightSource weights, const ModelConfig& config) const = 0;
};
const Registry<ModelFamily>& families();  ///< by config.json's "model_type"

/// Reads `config`, picks the family by model_type and opens it.  Throws UnsupportedError for a
/// model_type without a family, and what ModelConfig::from_json and ModelFamily::open throw.
std::unique_ptr<CausalLM> open_model(WeightSource weights, const Json& config);
/// The same with dense weights only.
std::unique_ptr<CausalLM> open_model(std::shared_ptr<const TensorSource> weights,
                                     const Json& config);

/// Runs `tokens`, int64 [batch, seq], through the whole model, a block at a time: logits float32
/// [batch, seq, vocab]. For tests and small inputs.
at::Tensor run_model(const CausalLM& model, const at::Tensor& tokens);

}  // namespace ptq
