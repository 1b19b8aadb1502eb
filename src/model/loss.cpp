#include <stdexcept>
#include <string>

#include "kernels/dispatch.h"
#include "parallel.h"
#include "ptq/model/kernels.h"

namespace ptq {

void nll_rows(const LogitRows& logits, const int64_t* targets, double* nll) {
  for (int64_t i = 0; i < logits.rows; ++i)
    if (targets[i] < 0 || targets[i] >= logits.vocab)
      throw std::logic_error("target " + std::to_string(targets[i]) +
                             " is outside the vocabulary of " + std::to_string(logits.vocab));
  parallel_tasks(logits.rows, [&](int64_t i) {
    nll[i] = kernels::table().row_nll(logits.data + i * logits.vocab, logits.vocab, targets[i]);
  });
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
