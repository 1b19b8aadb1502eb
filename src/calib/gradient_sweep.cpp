#include "ptq/calib/gradient_sweep.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <future>
#include <map>
#include <utility>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "ptq/calib/backward.h"
#include "ptq/core/error.h"
#include "ptq/io/safetensors.h"

namespace ptq {
namespace {

std::filesystem::path numbered(const std::filesystem::path& directory, const char* name,
                               int64_t index) {
  std::array<char, 48> text{};
  std::snprintf(text.data(), text.size(), "%s-%05lld.ptq-state", name,
                static_cast<long long>(index));
  return directory / text.data();
}

/// Writes files one after the other beside the computation: waiting for the disk costs as much as a
/// block of a small model.
class BackgroundWriter {
 public:
  /// `tensors` must not change until the next call.  Throws what writing the file before met.
  void write(const std::filesystem::path& file, std::map<std::string, at::Tensor> tensors) {
    wait();
    pending_ = std::async(std::launch::async, [file, tensors = std::move(tensors)] {
      write_safetensors(file, tensors);
    });
  }
  /// On return the last file is on the disk.
  void wait() {
    if (pending_.valid()) pending_.get();
  }

 private:
  std::future<void> pending_;  // whose destructor waits
};

void displace(Block& block, const WeightPoint& point) {
  if (!point.direction || point.at == 0) return;
  for (Stage& stage : block.stages())
    for (Linear& linear : stage.linears) {
      const at::Tensor& weight = linear.weight();
      const at::Tensor change = point.direction->of(linear.site(), weight.cpu());
      linear.set_weight(weight.add(change.to(weight.device(), at::kFloat), point.at));
    }
}

/// A copy on the CPU.
at::Tensor host_copy(const at::Tensor& tensor) {
  return tensor.is_cpu() ? tensor.clone() : tensor.cpu();
}

}  // namespace

GradientSweep::GradientSweep(const CausalLM& model, Plan plan)
    : model_(model), plan_(std::move(plan)) {
  if (plan_.tokens.size(1) < 2)
    throw ConfigError("windows of " + std::to_string(plan_.tokens.size(1)) +
                          " token have no next token, so no loss",
                      "--seqlen must be at least 2");
  std::filesystem::create_directories(plan_.directory);
}

int64_t GradientSweep::state_bytes(const CausalLM& model, int64_t tokens) {
  // The inputs of all blocks, the last one's output, and two gradients.
  return (model.config().blocks + 3) * tokens * model.config().hidden * 4;
}

std::filesystem::path GradientSweep::boundary_file(int64_t block) const {
  return numbered(plan_.directory, "input", block);
}

std::filesystem::path GradientSweep::gradient_file(int64_t block) const {
  return numbered(plan_.directory, "gradient", block);
}

at::Tensor GradientSweep::loaded(const std::filesystem::path& file, const char* name) const {
  return SafetensorsFile(file).tensor(name).to(model_.device(), at::kFloat, /*non_blocking=*/false,
                                               /*copy=*/true);
}

at::Tensor GradientSweep::forward(bool keep_boundaries, const Progress& progress) {
  const int64_t blocks = model_.config().blocks;
  int64_t done = -1;  // the block whose input is the last one on disk
  while (keep_boundaries && done < blocks && std::filesystem::exists(boundary_file(done + 1)))
    ++done;
  at::Tensor states;
  BackgroundWriter writer;
  // The next block writes over the states.
  const auto keep = [&](int64_t index) {
    if (keep_boundaries) writer.write(boundary_file(index), {{"states", host_copy(states)}});
  };
  if (done < 0) {
    states = embed_sequences(model_, plan_.tokens, plan_.settings);
    keep(0);
    done = 0;
  } else {
    states = loaded(boundary_file(done), "states");
  }
  forward_sweep(
      model_,
      [&](Block& block, int64_t index) {
        displace(block, plan_.point);
        advance_block(block, states, plan_.settings);
        keep(index + 1);
        progress(index + 1);
      },
      done);
  writer.wait();
  return states;
}

GradientSweep::Loss GradientSweep::head(const at::Tensor& hidden) {
  const int64_t sequences = hidden.size(0), seq = hidden.size(1);
  Loss loss{at::empty({sequences}, at::kDouble), at::empty_like(hidden)};
  LmHead head(model_);
  for_each_batch(sequences, seq, plan_.settings, [&](int64_t first, int64_t count) {
    const at::Tensor part = hidden.narrow(0, first, count);
    const at::Tensor tokens = plan_.tokens.narrow(0, first, count);
    const at::Tensor labels =
        plan_.labels.sampled
            ? sample_labels(head, part, tokens, plan_.labels.seed, plan_.first_sequence + first)
            : tokens;
    const HeadLoss result = head_backward(head, part, labels);
    loss.nll.narrow(0, first, count).copy_(result.nll);
    loss.gradient.narrow(0, first, count).copy_(result.gradient);
  });
  for (int64_t i = 0; i < sequences; ++i)
    if (!std::isfinite(loss.nll[i].item<double>()))
      throw NumericalError("the loss of window " + std::to_string(plan_.first_sequence + i) +
                               " is NaN or infinite behind the last block",
                           "the model's weights may be damaged, or its activations overflow");
  return loss;
}

at::Tensor GradientSweep::losses(const Progress& progress) {
  const at::NoGradGuard unrecorded;
  return head(forward(/*keep_boundaries=*/false, progress)).nll;
}

/// Moves the gradient from behind block `index` to in front of it.
void GradientSweep::reverse_block(Block& block, int64_t index, Loss& loss, Collector& collector) {
  displace(block, plan_.point);
  const SafetensorsFile file(boundary_file(index));
  const at::Tensor inputs = file.tensor("states").to(loss.gradient.device());
  const auto visit_from = [&](int64_t first) {
    return [&collector, window = plan_.first_sequence + first](const Linear& linear,
                                                               const SiteBatch& batch) {
      require_finite(linear.site(), batch, window);
      collector.add(linear.site(), batch);
    };
  };
  for_each_batch(inputs.size(0), inputs.size(1), plan_.settings, [&](int64_t first, int64_t count) {
    at::Tensor gradient = loss.gradient.narrow(0, first, count);
    gradient.copy_(
        block_backward(block, inputs.narrow(0, first, count), gradient, visit_from(first)));
  });
}

int64_t GradientSweep::lowest_gradient() const {
  for (int64_t index = 0; index <= model_.config().blocks; ++index)
    if (std::filesystem::exists(gradient_file(index))) return index;
  return -1;
}

at::Tensor GradientSweep::run(const StatisticSet& statistics, const Keep& keep,
                              const Progress& progress) {
  const at::NoGradGuard unrecorded;
  const int64_t blocks = model_.config().blocks;
  BackgroundWriter writer;
  const auto store = [&](int64_t index, const Loss& loss) {
    writer.write(gradient_file(index), {{"gradient", host_copy(loss.gradient)}, {"nll", loss.nll}});
  };
  Loss loss;
  int64_t open = lowest_gradient();  // blocks that are still to come
  if (open < 0) {
    loss = head(forward(/*keep_boundaries=*/true, progress));
    store(blocks, loss);
    open = blocks;
  } else {
    const std::filesystem::path file = gradient_file(open);
    loss = {SafetensorsFile(file).tensor("nll").clone(), loaded(file, "gradient")};
  }
  Collector collector(statistics);
  reverse_sweep(
      model_,
      [&](Block& block, int64_t index) {
        reverse_block(block, index, loss, collector);
        collector.finish();
        keep(index, collector);
        collector.clear();
        // When the gradient behind block `index` is on the disk, what is behind that is not needed.
        writer.wait();
        std::filesystem::remove(gradient_file(index + 2));
        std::filesystem::remove(boundary_file(index + 2));
        store(index, loss);
        progress(2 * blocks - index);
      },
      open);
  writer.wait();
  return loss.nll;
}

}  // namespace ptq
