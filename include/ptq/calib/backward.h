#pragma once
#include <cstdint>
#include <functional>

#include <ATen/core/Tensor.h>

#include "ptq/calib/statistic.h"
#include "ptq/model/block.h"
#include "ptq/model/lm_head.h"

namespace ptq {

/// Takes what a linear saw of a batch; the tensors are valid during the call only.
using SiteVisitor = std::function<void(const Linear& linear, const SiteBatch& batch)>;

/// Runs a block forward and backward on some whole sequences: `hidden` float32 [sequences, seq,
/// hidden], the block's input, and `gradient`, same shape, that of the loss with respect to the
/// block's output.  Hands every linear's input and output gradient to `visit`, last stage first,
/// and returns the gradient with respect to `hidden`.  No gradient of a weight is computed.
at::Tensor block_backward(const Block& block, const at::Tensor& hidden, const at::Tensor& gradient,
                          const SiteVisitor& visit);

/// As above for a loss of the block's own output: `gradient_of` is given that output, float32
/// [sequences, seq, hidden], and gives the gradient with respect to it, same shape.
at::Tensor block_backward(const Block& block, const at::Tensor& hidden,
                          const std::function<at::Tensor(const at::Tensor& output)>& gradient_of,
                          const SiteVisitor& visit);

/// The loss behind the last block.
struct HeadLoss {
  at::Tensor nll;       ///< float64 [sequences] of the CPU: summed next-token NLL of each, nats
  at::Tensor gradient;  ///< float32 [sequences, seq, hidden]: of the summed NLL by `hidden`
};

/// The next-token loss of `hidden`, float32 [sequences, seq, hidden], the last block's output,
/// against `labels`, int64 [sequences, seq]: position t is scored against labels[:, t + 1].  Logits
/// exist for as many tokens at a time as the head takes in a call.
HeadLoss head_backward(LmHead& head, const at::Tensor& hidden, const at::Tensor& labels);

/// Labels drawn from the model: column t + 1 of the result, int64 [sequences, seq], comes from the
/// distribution that `hidden`, float32 [sequences, seq, hidden], the last block's output, gives at
/// position t; column 0 is that of `tokens`.  A draw depends on `seed`, its sequence's number (from
/// `first_sequence` on) and its position only.
at::Tensor sample_labels(LmHead& head, const at::Tensor& hidden, const at::Tensor& tokens,
                         uint64_t seed, int64_t first_sequence);

}  // namespace ptq
