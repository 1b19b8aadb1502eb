#pragma once
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ptq/calib/statistic.h"
#include "ptq/core/registry.h"
#include "ptq/model/input_scale.h"
#include "ptq/quant/quantized_tensor.h"

namespace ptq {

/// What a quantizer made of one linear, and what it had to do for it.
struct QuantizedSite {
  QuantizedTensor weight;
  /// Σ over calibration tokens of ‖(Ŵ−W) x‖² divided by Σ ‖W x‖², with the W that the method aims
  /// at and the weights that it gives the tokens; the same of the weights alone, each with the
  /// importance that the method gives it, for one that sees no inputs.
  double relative_error = 0;
  Json details =
      Json::object();  ///< what the method wants in the report: damping used, dead columns, …
  std::vector<std::string> fallbacks;  ///< each: what was asked, what was done instead, and why
};

/// A block before any of its linears is quantized.
struct BlockContext {
  Block& block;                         ///< on any device
  const at::Tensor& states;             ///< float32 [sequences, seq, hidden]: the block's input
  const std::vector<SiteStats>& stats;  ///< of each stage's input by `block_statistics`; on the CPU
  const QuantPlan& plan;                ///< the linears that will be quantized
  StoredDtype stored;                   ///< of the checkpoint's tensors
  /// What `stored_statistics` say of a linear; of the unquantized model.
  std::function<SiteStats(const LinearSite& site)> stored_stats;

  /// Why the input of a stage cannot be scaled so that the output's files hold the same function,
  /// or nothing: what is not quantized keeps its dtype, which does not hold scaled weights.
  std::optional<std::string> refusal(size_t stage) const;
};

/// What a method wants in the report about linears of a block, by site name.
using BlockNotes = std::map<std::string, Json>;

/// A block whose linears are quantized, and what it should do.
struct RefineContext {
  Block& block;  ///< with the dequantized weights; to be left with those of what is returned
  const at::Tensor& input;  ///< float32 [sequences, seq, hidden]: its input behind quantized blocks
  const at::Tensor& target;  ///< same shape: the output of this block of the unquantized model
  const std::map<std::string, at::Tensor>& weights;  ///< by site: float32 [out, in], unquantized
  const std::map<std::string, QuantizedTensor>& quantized;  ///< by site
  StoredDtype stored;                                       ///< of the checkpoint's tensors
  /// What `stored_statistics` say of a linear; of the unquantized model.
  std::function<SiteStats(const LinearSite& site)> stored_stats;
  std::function<void()> poll;  ///< to be called now and then; may throw to stop the run
};

/// A method that puts a linear layer on integer grids or tables.
class Quantizer {
 public:
  virtual ~Quantizer() = default;

  /// Why it does not make such weights, or nothing.  Of grids: those that `check` allows are made.
  virtual std::optional<std::string> unsupported(const QuantScheme& scheme) const {
    if (scheme.lookup) return "it makes grids, and no lookup tables";
    return std::nullopt;
  }

  /// The statistics `quantize` reads, by name; none: no calibration data is needed.
  virtual std::vector<std::string> statistics() const { return {}; }

  /// A warning when `tokens` calibration tokens are too few for an input of `in_features` (rank),
  /// or nothing.
  virtual std::optional<std::string> data_warning(int64_t tokens, int64_t in_features) const {
    static_cast<void>(tokens), static_cast<void>(in_features);
    return std::nullopt;
  }

  /// The reason why so many calibration sequences are too few to work at all, or nothing.
  virtual std::optional<std::string> too_few(int64_t sequences) const {
    static_cast<void>(sequences);
    return std::nullopt;
  }

  /// Bytes of matrices that `quantize` and what it keeps with the statistics take at their peak, in
  /// the worst case (a retry in float64 included), beside the weight, the statistics and the
  /// result.  Vectors may be left out.
  virtual int64_t workspace_bytes(const LinearSite& site) const {
    static_cast<void>(site);
    return 0;
  }

  /// Whether `quantize` takes weight and statistics that lie on `device`; the result lies on the
  /// CPU.  Where it does not, it is given copies on the CPU.
  virtual bool takes(at::Device device) const { return device.is_cpu(); }

  /// True if `prepare_block` is to be called; then calibration data is needed.
  virtual bool prepares_blocks() const { return false; }

  /// True if `prepare_block` is to see the block's input in the unquantized model, which then runs
  /// beside, and not that behind the quantized blocks.
  virtual bool prepares_unquantized() const { return false; }

  /// The statistics `prepare_block` reads, by name.
  virtual std::vector<std::string> block_statistics() const { return {}; }

  /// The statistics `prepare_block` and `refine_block` read from a store (--stats) beside the
  /// calibration data, by name: those that need gradients.
  virtual std::vector<std::string> stored_statistics() const { return {}; }

  /// Bytes that `prepare_block` takes at its peak beside the block and the statistics, for the
  /// linears of a block and states of `sequences` of `seq` tokens.
  virtual int64_t prepare_bytes(const std::vector<LinearSite>& block, int64_t sequences,
                                int64_t seq) const {
    static_cast<void>(block), static_cast<void>(sequences), static_cast<void>(seq);
    return 0;
  }

  /// Called once for each block before its first linear is quantized: may change the block into
  /// another that computes the same function (scale_input).  What it changes of `block_vectors` is
  /// written into the output in the checkpoint's dtype.  What it returns is added to
  /// QuantizedSite::details.
  virtual BlockNotes prepare_block(const BlockContext& context) const {
    static_cast<void>(context);
    return {};
  }

  /// True if `refine_block` is to be called; then calibration data is needed, and the unquantized
  /// model runs beside the quantized one.
  virtual bool refines_blocks() const { return false; }

  /// The reason why `refine_block` cannot work on blocks like this one, the model's first, or
  /// nothing.
  virtual std::optional<std::string> cannot_refine(const Block& block) const {
    static_cast<void>(block);
    return std::nullopt;
  }

  /// Bytes that `refine_block` takes at its peak beside the block, for its linears and a batch of
  /// `tokens` that goes through it at a time.
  virtual int64_t refine_bytes(const std::vector<LinearSite>& block, int64_t tokens) const {
    static_cast<void>(block), static_cast<void>(tokens);
    return 0;
  }

  /// Called once for each block after its last linear was quantized: the linears that it found
  /// better weights for, by site name; the block then has these, dequantized.  Their details are
  /// added to those of `quantize`.
  virtual std::map<std::string, QuantizedSite> refine_block(const RefineContext& context) const {
    static_cast<void>(context);
    return {};
  }

  /// Quantizes one linear.  `unsupported` has nothing against the scheme, and the group size
  /// divides in_features.  Throws NumericalError when no safe fallback is left.
  virtual QuantizedSite quantize(const SiteView& site, const QuantScheme& scheme) const = 0;
};

/// All quantizers, by name.
const Registry<Quantizer>& quantizers();

}  // namespace ptq
