#include "rounding_tuner.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <random>
#include <stdexcept>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "ptq/calib/backward.h"
#include "ptq/core/error.h"
#include "ptq/model/matmul.h"

namespace ptq::quantizer {
namespace {

constexpr int64_t kChecks = 10;         // looks at the held-out windows
constexpr int64_t kPartTokens = 2048;   // through the block at a time
constexpr double kLeastEnergy = 1e-12;  // of a token, as a share of the mean

/// Σ of float32 [n, seq, width], in one order whatever the number of threads.
double sum_in_order(const at::Tensor& values) {
  const at::Tensor rows = values.sum(2, /*keepdim=*/false, at::kDouble).cpu().contiguous();
  const double* row = rows.data_ptr<double>();
  return std::accumulate(row, row + rows.numel(), 0.0);
}

/// Σ of weighted squared errors of some windows' output.
class OutputLoss {
 public:
  OutputLoss(const RefineContext& context, BlockLoss loss) : target_(context.target) {
    if (loss == BlockLoss::kRelative) {
      const at::Tensor energy = target_.square().mean(2, /*keepdim=*/true);
      const double mean = sum_in_order(energy) / static_cast<double>(energy.numel());
      token_ = energy.clamp_min(kLeastEnergy * mean).reciprocal();
    }
    if (loss == BlockLoss::kFisher) {
      if (const auto reason = fisher_refusal(context.block)) throw UnsupportedError(*reason);
      const std::vector<Linear>& last = context.block.stages().back().linears;
      const at::Tensor sum = context.stored_stats(last[0].site()).sum("gradient-energy");
      const double mean = sum.mean().item<double>();
      if (!(mean > 0) || !std::isfinite(mean))
        throw NumericalError(
            "loss=fisher: gradient-energy of " + last[0].site().name + " is 0 or not finite",
            "collect it over more text");
      channel_ = (sum / mean).to(target_.options());
    }
  }

  /// Of windows `rows` (int64) with the block's output: float32, same shape, of half the loss.
  at::Tensor gradient(const at::Tensor& output, const at::Tensor& rows) const {
    return weighted(output - target_.index_select(0, rows), rows);
  }
  double value(const at::Tensor& output, const at::Tensor& rows) const {
    const at::Tensor error = output - target_.index_select(0, rows);
    return sum_in_order(error * weighted(error, rows));
  }
  /// What `value` gives for an output of zeros.
  double energy(const at::Tensor& rows) const {
    return value(at::zeros_like(target_.index_select(0, rows)), rows);
  }

 private:
  at::Tensor weighted(const at::Tensor& error, const at::Tensor& rows) const {
    at::Tensor result = error;
    if (token_.defined()) result = result * token_.index_select(0, rows);
    if (channel_.defined()) result = result * channel_;
    return result;
  }

  const at::Tensor& target_;
  at::Tensor token_;    ///< float32 [sequences, seq, 1]
  at::Tensor channel_;  ///< float32 [hidden]
};

/// The windows steps see, in an order drawn anew for each pass.
class WindowOrder {
 public:
  WindowOrder(int64_t windows, uint64_t seed) : order_(static_cast<size_t>(windows)), draw_(seed) {
    std::iota(order_.begin(), order_.end(), 0);
    next_ = order_.size();
  }
  int64_t next() {
    if (next_ == order_.size()) {
      // Fisher-Yates by hand: what std::shuffle draws is the library's choice.
      for (size_t i = order_.size(); i > 1; --i)
        std::swap(order_[i - 1], order_[draw_() % i]);
      next_ = 0;
    }
    return order_[next_++];
  }

 private:
  std::vector<int64_t> order_;
  std::mt19937_64 draw_;
  size_t next_ = 0;
};

class Tuner {
 public:
  Tuner(const RefineContext& context, const TunerSettings& settings)
      : context_(context),
        settings_(settings),
        loss_(context, settings.loss),
        indices_(context.input.options().dtype(at::kLong)),
        part_(std::max<int64_t>(1, kPartTokens / context.input.size(1))) {
    for (Stage& stage : context.block.stages())
      for (Linear& linear : stage.linears) {
        const std::string& name = linear.site().name;
        const auto found = context.quantized.find(name);
        if (found == context.quantized.end()) continue;
        linears_.emplace(name, &linear);
        roundings_.emplace(name,
                           LearnedRounding(found->second, context.weights.at(name),
                                           context.stored(name + ".weight"), settings.optimizer));
      }
  }

  TunedBlock run() {
    const int64_t windows = context_.input.size(0);
    if (windows < 2) throw std::logic_error("learned rounding needs two windows");
    TunedBlock best;
    best.heldout = std::max<int64_t>(1, windows / 8);
    const int64_t taught = windows - best.heldout;
    const at::Tensor heldout = at::arange(taught, windows, indices_);
    WindowOrder order(taught, settings_.seed);
    best.weights = weights();
    best.loss = best.loss_before = measure(heldout);
    if (!std::isfinite(best.loss))
      throw NumericalError("the output of the quantized block is not finite");
    const int64_t every = std::max<int64_t>(1, settings_.iterations / kChecks);
    for (int64_t i = 0; i < settings_.iterations; ++i) {
      learn(order, i);
      if ((i + 1) % every != 0 && i + 1 != settings_.iterations) continue;
      const double loss = measure(heldout);
      if (!(loss < best.loss)) continue;  // a NaN is never better
      best.loss = loss;
      best.iteration = i + 1;
      best.weights = weights();
    }
    for (const auto& [name, weight] : best.weights)
      place(name, weight.dequantize());
    return best;
  }

 private:
  void place(const std::string& name, const at::Tensor& weight) {
    Linear& linear = *linears_.at(name);
    linear.set_weight(weight.to(linear.weight().device()));
  }

  std::map<std::string, QuantizedTensor> weights() const {
    std::map<std::string, QuantizedTensor> result;
    for (const auto& [name, rounding] : roundings_) {
      result.emplace(name, rounding.quantized());
      result.at(name).q = rounding.quantized().q.clone();
    }
    return result;
  }

  /// One step by some windows.
  void learn(WindowOrder& order, int64_t iteration) {
    std::map<std::string, at::Tensor> gradients;
    const auto add = [&](const Linear& linear, const SiteBatch& batch) {
      const auto found = roundings_.find(linear.site().name);
      if (found == roundings_.end()) return;
      at::Tensor& sum = gradients[linear.site().name];
      if (!sum.defined()) sum = at::zeros_like(linear.weight());
      add_transposed_product(batch.g.flatten(0, -2), batch.x.flatten(0, -2), {}, Part::kWhole, sum);
    };
    for (int64_t left = settings_.batch; left > 0; left -= part_) {
      context_.poll();
      std::vector<int64_t> windows;
      for (int64_t i = 0; i < std::min(left, part_); ++i)
        windows.push_back(order.next());
      const at::Tensor rows = at::tensor(windows, at::kLong).to(indices_.device());
      block_backward(
          context_.block, context_.input.index_select(0, rows),
          [&](const at::Tensor& output) { return loss_.gradient(output, rows); }, add);
    }
    const auto whole = static_cast<double>(settings_.iterations);
    const double falling = (1 - static_cast<double>(iteration) / whole) / whole;
    for (auto& [name, rounding] : roundings_) {
      rounding.step(gradients.at(name).cpu(),
                    {settings_.rate * falling, settings_.scale_rate * falling});
      place(name, rounding.weight());
    }
  }

  /// The loss of `windows`, relative to the energy of their target.
  double measure(const at::Tensor& windows) const {
    double loss = 0, energy = 0;
    for (int64_t first = 0; first < windows.size(0); first += part_) {
      context_.poll();
      const at::Tensor rows = windows.narrow(0, first, std::min(part_, windows.size(0) - first));
      loss += loss_.value(context_.block.forward(context_.input.index_select(0, rows)), rows);
      energy += loss_.energy(rows);
    }
    return energy > 0 ? loss / energy : loss;
  }

  const RefineContext& context_;
  const TunerSettings& settings_;
  OutputLoss loss_;
  at::TensorOptions indices_;  ///< of windows: where the states lie
  int64_t part_;               ///< windows through the block at a time
  std::map<std::string, Linear*> linears_;
  std::map<std::string, LearnedRounding> roundings_;
};

}  // namespace

std::optional<std::string> fisher_refusal(const Block& block) {
  if (block.stages().back().linears.size() == 1 && block.ends_in_sum()) return std::nullopt;
  return "loss=fisher: the output of this architecture's blocks is not a sum that ends in one "
         "linear, whose gradients would be its own";
}

TunedBlock tune_rounding(const RefineContext& context, const TunerSettings& settings) {
  const at::NoGradGuard unrecorded;
  return Tuner(context, settings).run();
}

}  // namespace ptq::quantizer
