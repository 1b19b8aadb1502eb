#pragma once
#include <filesystem>
#include <functional>
#include <memory>

#include <ATen/core/Tensor.h>

#include "ptq/calib/collector.h"
#include "ptq/calib/sweep.h"
#include "ptq/model/causal_lm.h"

namespace ptq {

/// A displacement of every linear of a model, made linear by linear.
class Direction {
 public:
  virtual ~Direction() = default;
  /// Names the direction and its settings; equal keys mean equal displacements.
  virtual std::string key() const = 0;
  /// float32 [out, in] for a site's own weight, float32 [out, in], both of the CPU; the same
  /// whenever it is asked.
  virtual at::Tensor of(const LinearSite& site, const at::Tensor& weight) const = 0;
};

/// Where a model's linears stand: every weight is W + at · direction; without a direction, W.
struct WeightPoint {
  std::shared_ptr<const Direction> direction;
  double at = 0;
};

/// What the loss is taken against.
struct LabelSource {
  bool sampled = false;  ///< drawn from the model's own distribution, which gives the true Fisher
  uint64_t seed = 0;     ///< of the draws
};

/// One pass forward and one back over all sequences, a block in memory at a time, on the device of
/// the model, where the sums are then as well.  What it needs to go on after an interruption lies
/// in a directory of its own: every block's input, and the gradient behind the block it is at.
class GradientSweep {
 public:
  struct Plan {
    at::Tensor tokens;           ///< int64 [sequences, seq]
    int64_t first_sequence = 0;  ///< their place among all windows, for messages and draws
    WeightPoint point;
    LabelSource labels;
    SweepSettings settings;
    std::filesystem::path directory;  ///< for boundary states; made if absent
  };
  /// Called when block `index` is collected: keeps its sums.  After an interruption the last two
  /// blocks that were kept may come again, with the same sums.
  using Keep = std::function<void(int64_t index, const Collector& collector)>;
  /// Called after each block of either pass: blocks done of those both passes have together.
  using Progress = std::function<void(int64_t done)>;

  /// `model` must outlive the sweep.  Throws ConfigError for sequences shorter than two tokens.
  GradientSweep(const CausalLM& model, Plan plan);

  /// The loss alone: float64 [sequences], the summed next-token NLL of each in nats.
  at::Tensor losses(const Progress& progress);
  /// The loss, and what `statistics` say of every linear's inputs and output gradients, a block at
  /// a time from the last to the first.  Throws NumericalError naming block, linear and window for
  /// a value that is not finite.
  at::Tensor run(const StatisticSet& statistics, const Keep& keep, const Progress& progress);

  /// Disk that the boundary states of so many tokens take at most.
  static int64_t state_bytes(const CausalLM& model, int64_t tokens);

 private:
  struct Loss {
    at::Tensor nll, gradient;
  };
  std::filesystem::path boundary_file(int64_t block) const;
  std::filesystem::path gradient_file(int64_t block) const;
  at::Tensor loaded(const std::filesystem::path& file, const char* name) const;
  at::Tensor forward(bool keep_boundaries, const Progress& progress);
  Loss head(const at::Tensor& hidden);
  void reverse_block(Block& block, int64_t index, Loss& loss, Collector& collector);
  int64_t lowest_gradient() const;

  const CausalLM& model_;
  Plan plan_;
};

}  // namespace ptq
