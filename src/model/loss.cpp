#include <algorithm>
#include <stdexcept>
#include <string>

#include <ATen/ATen.h>

#include "kernels/dispatch.h"
#include "ptq/core/parallel.h"
#include "ptq/model/kernels.h"

namespace ptq {
namespace {

void check_targets(const int64_t* targets, int64_t count, int64_t least, int64_t vocab) {
  for (int64_t i = 0; i < count; ++i)
    if (targets[i] < least || targets[i] >= vocab)
      throw std::logic_error("target " + std::to_string(targets[i]) +
                             " is outside the vocabulary of " + std::to_string(vocab));
}

}  // namespace

void nll_rows(const LogitRows& logits, const int64_t* targets, double* nll) {
  check_targets(targets, logits.rows, 0, logits.vocab);
  parallel_tasks(logits.rows, [&](int64_t i) {
    nll[i] = kernels::table().row_nll(logits.data + i * logits.vocab, logits.vocab, targets[i]);
  });
}

void nll_gradient_rows(float* logits, int64_t rows, int64_t vocab, const int64_t* targets,
                       double* nll) {
  check_targets(targets, rows, -1, vocab);
  parallel_tasks(rows, [&](int64_t i) {
    float* row = logits + i * vocab;
    nll[i] = 0;
    if (targets[i] < 0)
      std::fill(row, row + vocab, 0.0F);
    else
      nll[i] = kernels::table().nll_gradient(row, vocab, targets[i]);
  });
}

at::Tensor nll_gradient_on_device(const at::Tensor& logits, const at::Tensor& targets) {
  check_targets(targets.data_ptr<int64_t>(), targets.numel(), -1, logits.size(1));
  const at::Tensor ids = targets.to(logits.device()).unsqueeze(1);
  const at::Tensor scored = ids.ge(0), label = ids.clamp_min(0);
  // In float64, as the kernels' sums are: the NLL of a batch adds up to thousands of nats.
  const at::Tensor log_share = at::log_softmax(logits.to(at::kDouble), 1);
  const at::Tensor nll = log_share.gather(1, label).neg_().mul_(scored);
  logits.copy_(log_share.exp().scatter_add_(1, label, at::full_like(nll, -1)).mul_(scored));
  return nll.squeeze(1);
}

void kl_rows(const LogitRows& reference, const LogitRows& logits, double* kl, uint8_t* same_top1) {
  if (reference.rows != logits.rows || reference.vocab != logits.vocab)
    throw std::logic_error("logits of different shapes compared");
  parallel_tasks(logits.rows, [&](int64_t i) {
    const int64_t offset = i * logits.vocab;
    kernels::table().row_kl(reference.data + offset, logits.data + offset, logits.vocab, kl + i,
                            same_top1 + i);
  });
}

}  // namespace ptq
