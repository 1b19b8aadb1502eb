#include "ptq/calib/backward.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

#include "ptq/model/kernels.h"

namespace ptq {
namespace {

/// A linear's run in a recorded forward pass.
struct Record {
  const Linear* linear;
  at::Tensor x, y;
};

/// The NLL of rows of logits, which become its gradients, into `nll`, float64 [rows] of the CPU.
void score(const at::Tensor& logits, const at::Tensor& targets, at::Tensor& nll) {
  if (logits.is_cpu())
    nll_gradient_rows(logits.data_ptr<float>(), logits.size(0), logits.size(1),
                      targets.data_ptr<int64_t>(), nll.data_ptr<double>());
  else
    nll.copy_(nll_gradient_on_device(logits, targets));
}

/// Gradient of final norm and LM head for some rows: `hidden` float32 [rows, hidden], `targets`
/// [rows] with −1 where nothing is scored; NLL into `nll`, float64 [rows].
at::Tensor head_rows(LmHead& head, const at::Tensor& hidden, const at::Tensor& targets,
                     at::Tensor nll) {
  at::Tensor leaf = hidden.detach().requires_grad_();
  at::Tensor normed;
  {
    const at::AutoGradMode recording(true);
    normed = head.final_norm(leaf);
  }
  const at::Tensor logits = head.project(normed.detach());
  score(logits, targets, nll);
  return torch::autograd::grad({normed}, {leaf}, {head.project_back(logits)})[0];
}

/// A number in [0, 1) for a draw (splitmix64, Steele et al., OOPSLA 2014).
double uniform(uint64_t seed, uint64_t sequence, uint64_t position) {
  const auto mixed = [](uint64_t z) {
    z += 0x9E3779B97F4A7C15U;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
    return z ^ (z >> 31);
  };
  return static_cast<double>(mixed(mixed(mixed(seed) ^ sequence) ^ position) >> 11) * 0x1p-53;
}

/// The index at which the running sum of exp(logit − maximum) passes `share` of the whole.
int64_t drawn(const float* logits, int64_t vocab, double share) {
  const float top = *std::max_element(logits, logits + vocab);
  double total = 0;
  for (int64_t i = 0; i < vocab; ++i)
    total += std::exp(static_cast<double>(logits[i] - top));
  double left = share * total;
  for (int64_t i = 0; i < vocab; ++i)
    if ((left -= std::exp(static_cast<double>(logits[i] - top))) < 0) return i;
  return vocab - 1;
}

/// Position t is scored against the next label; the last of a sequence is not.
at::Tensor next_tokens(const at::Tensor& labels) {
  at::Tensor targets = at::full_like(labels, -1);
  targets.narrow(1, 0, labels.size(1) - 1).copy_(labels.narrow(1, 1, labels.size(1) - 1));
  return targets.reshape({-1}).contiguous();
}

using GradientOf = std::function<at::Tensor(const at::Tensor& output)>;

/// `reads_output`: whether `gradient_of` reads what it is given.
at::Tensor run_back(const Block& block, const at::Tensor& hidden, bool reads_output,
                    const GradientOf& gradient_of, const SiteVisitor& visit) {
  std::vector<Record> records;
  std::vector<at::Tensor> wanted{hidden.detach().requires_grad_()};
  BlockState state{wanted.front(), {}};
  {
    const at::AutoGradMode recording(true);
    for (size_t index = 0; index < block.stages().size(); ++index) {
      const at::Tensor x = block.stage_input(index, state);
      // A quarter of a block's products would be made for values that nobody reads.
      const bool last = index + 1 == block.stages().size();
      const bool unread = !reads_output && last && block.ends_in_sum();
      std::vector<at::Tensor> outputs;
      for (const Linear& linear : block.stages()[index].linears) {
        outputs.push_back(unread ? linear.forward_for_gradient(x) : linear.forward(x));
        records.push_back({&linear, x.detach(), outputs.back()});
        wanted.push_back(outputs.back());
      }
      block.accept(index, std::move(outputs), state);
    }
  }
  const std::vector<at::Tensor> gradients =
      torch::autograd::grad({state.hidden}, wanted, {gradient_of(state.hidden.detach())});
  for (size_t i = records.size(); i-- > 0;)
    visit(*records[i].linear, {records[i].x, gradients[i + 1].contiguous()});
  return gradients[0];
}

}  // namespace

at::Tensor block_backward(const Block& block, const at::Tensor& hidden, const at::Tensor& gradient,
                          const SiteVisitor& visit) {
  const auto given = [&gradient](const at::Tensor&) { return gradient; };
  return run_back(block, hidden, /*reads_output=*/false, given, visit);
}

at::Tensor block_backward(const Block& block, const at::Tensor& hidden,
                          const GradientOf& gradient_of, const SiteVisitor& visit) {
  return run_back(block, hidden, /*reads_output=*/true, gradient_of, visit);
}

HeadLoss head_backward(LmHead& head, const at::Tensor& hidden, const at::Tensor& labels) {
  const at::NoGradGuard unrecorded;
  const int64_t width = hidden.size(2), rows = hidden.size(0) * hidden.size(1);
  const at::Tensor flat = hidden.reshape({rows, width}), targets = next_tokens(labels);
  at::Tensor nll = at::empty({rows}, at::kDouble), gradient = at::empty_like(flat);
  for (int64_t first = 0; first < rows; first += head.rows()) {
    const int64_t count = std::min(head.rows(), rows - first);
    gradient.narrow(0, first, count)
        .copy_(head_rows(head, flat.narrow(0, first, count), targets.narrow(0, first, count),
                         nll.narrow(0, first, count)));
  }
  return {nll.view(labels.sizes()).sum(1), gradient.view(hidden.sizes())};
}

at::Tensor sample_labels(LmHead& head, const at::Tensor& hidden, const at::Tensor& tokens,
                         uint64_t seed, int64_t first_sequence) {
  const at::NoGradGuard unrecorded;
  const int64_t seq = hidden.size(1), rows = hidden.size(0) * seq, vocab = head.vocab();
  const at::Tensor flat = hidden.reshape({rows, hidden.size(2)}), labels = tokens.clone();
  auto* ids = labels.data_ptr<int64_t>();
  for (int64_t first = 0; first < rows; first += head.rows()) {
    const int64_t count = std::min(head.rows(), rows - first);
    const at::Tensor logits = head.logits(flat.narrow(0, first, count)).cpu();
    const float* data = logits.data_ptr<float>();
    at::parallel_for(0, count, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t row = first + i, position = row % seq;
        if (position + 1 == seq) continue;
        const double share = uniform(seed, static_cast<uint64_t>(first_sequence + row / seq),
                                     static_cast<uint64_t>(position));
        ids[row + 1] = drawn(data + i * vocab, vocab, share);
      }
    });
  }
  return labels;
}

}  // namespace ptq
