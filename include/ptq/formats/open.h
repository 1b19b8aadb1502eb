#pragma once
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <c10/core/Device.h>

#include "ptq/backends/selection.h"
#include "ptq/formats/format.h"
#include "ptq/formats/sparse_part.h"
#include "ptq/io/checkpoint.h"
#include "ptq/model/causal_lm.h"

namespace ptq {

class PackedSites;

/// A model directory ready to run, full precision or quantized (ours or others' in a format we
/// read).
struct OpenedModel {
  std::shared_ptr<const Checkpoint> checkpoint;
  std::unique_ptr<CausalLM> model;  ///< reads quantized linears through the format
  std::string format;               ///< registry name of the format; empty: full precision
  std::shared_ptr<const CheckpointFormat> layout;  ///< null: full precision
  QuantPlan plan;                                  ///< empty: full precision
  std::vector<std::string> notes;                  ///< CheckpointFormat::notes of it
  std::shared_ptr<const PackedSites> packed;       ///< null: every linear has a dense weight
  std::shared_ptr<const SparsePart> sparse;        ///< null: no single weights beside the others
  /// What a full-precision model would have: quantized linears dequantized, float32, with their
  /// single weights in place; all else as stored.
  std::shared_ptr<const TensorSource> tensors;

  /// The backend of every linear that runs on its packed weight.  Where a weight's values are
  /// refused when it is packed, the next backend takes it: ask after the model has run.
  std::map<std::string, std::string> backend_of() const;
  /// "BACKEND: reason" of those that refused a linear's weight so, by linear; ask as above.
  std::map<std::string, std::vector<std::string>> backend_refusals() const;
};

/// Opens `directory`, single weights included.  Throws what Checkpoint, open_model, the format and
/// SparsePart throw; UnsupportedError for a quantization_config of a format that is not known. With
/// `backends` (may be null) the model's quantized linears run on packed weights, each on the
/// backend chosen for it; throws UnsupportedError naming the linear before any weight is packed if
/// one has none.  The model computes on `device`; packed weights lie where their backend has them.
OpenedModel open_directory(const std::filesystem::path& directory,
                           const BackendSelection* backends = nullptr,
                           at::Device device = at::kCPU);

}  // namespace ptq
