#pragma once
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "ptq/calib/sweep.h"
#include "ptq/model/causal_lm.h"
#include "ptq/model/lm_head.h"
#include "ptq/pipeline/validate.h"

namespace ptq::detail {

/// What is added to the weight of one linear.
struct WeightChange {
  std::string site;
  int64_t block = 0;
  at::Tensor delta;  ///< float32 [out, in]
};

/// Measures what changed weights do to a model on fixed windows.  The inputs of all blocks are
/// kept, so that a change costs the blocks from its own on and the LM head.
class EffectMeter {
 public:
  struct Plan {
    at::Tensor tokens;                ///< int64 [windows, seq], seq at least 2
    std::filesystem::path directory;  ///< for block inputs that do not fit `state_bytes`
    int64_t state_bytes = 0, logit_bytes = 0, block_bytes = 0;  ///< as in ValidationRequest
    std::function<void()> poll;  ///< called between batches; may throw
  };

  /// Runs the unperturbed model.  Throws NumericalError if its loss is not finite, ResourceError
  /// if the disk does not suffice.  `model` must outlive the meter.
  EffectMeter(const CausalLM& model, Plan plan);

  /// The effect of all `changes` together; exactly 0 for changes of zeros.  Throws std::logic_error
  /// for no change or an unknown linear, NumericalError if the loss is not finite.
  MeasuredEffect measure(const std::vector<WeightChange>& changes);

  /// The unperturbed weight of a linear, float32 [out, in]; valid until the next call.
  at::Tensor weight(const LinearSite& site);

  /// Of the unperturbed model, nats per target token.
  double mean_nll() const { return mean_nll_; }
  int64_t targets() const;
  /// Whether block inputs lie on disk, logits are recomputed, blocks are loaded again.
  bool states_on_disk() const { return states_on_disk_; }
  bool recomputes_logits() const { return !reference_logits_.defined(); }
  bool reloads_blocks() const { return first_resident_ > 0; }
  /// Multiplications a token from block `index` on, for estimates of time.
  double work_from(int64_t index) const;

 private:
  Block& block(int64_t index);
  at::Tensor boundary(int64_t index);
  std::filesystem::path boundary_file(int64_t index) const;
  void choose_residents();
  void run_reference();
  at::Tensor scored_rows(const at::Tensor& states) const;
  MeasuredEffect compare(const at::Tensor& states);

  const CausalLM& model_;
  Plan plan_;
  SweepSettings settings_;
  std::vector<double> block_work_;
  LmHead head_;
  at::Tensor targets_;
  std::map<int64_t, std::unique_ptr<Block>> residents_;
  int64_t first_resident_ = 0;
  std::pair<int64_t, std::unique_ptr<Block>> visitor_{-1, nullptr};
  bool states_on_disk_ = false;
  std::vector<at::Tensor> boundaries_;
  std::pair<int64_t, at::Tensor> read_{-1, {}};  ///< the boundary read last
  at::Tensor reference_rows_, reference_logits_;
  double mean_nll_ = 0;
};

}  // namespace ptq::detail
