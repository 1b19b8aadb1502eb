#pragma once
#include "attention_kernel.h"
#include "row_kernels.h"

namespace ptq::kernels {

/// The kernels of the instruction set that the including file is compiled for.
template <class Isa>
constexpr Table make_table(const char* name) {
  using Multiply = ProductKernel<Isa>;
  using Attention = AttentionKernel<Isa>;
  using Rows = RowKernels<Isa>;
  return {name,
          Multiply::kPanel,
          Multiply::kRows,
          Multiply::template pack_rows<Multiply::kPanel, float>,
          Multiply::template pack_rows<Multiply::kPanel, uint16_t>,
          Multiply::template pack_columns<Multiply::kPanel, float>,
          Multiply::template pack_columns<Multiply::kPanel, uint16_t>,
          Multiply::template pack_columns<Multiply::kRows, float>,
          Multiply::multiply,
          Attention::tokens,
          Attention::scratch,
          Attention::attend,
          Rows::rotate,
          Rows::rms_norm,
          Rows::silu_mul,
          Rows::rms_norm_gradient,
          Rows::silu_mul_gradient,
          Rows::softmax,
          Rows::softmax_gradient,
          Rows::exp,
          Rows::row_nll,
          Rows::nll_gradient,
          Rows::row_kl};
}

}  // namespace ptq::kernels
