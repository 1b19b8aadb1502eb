#pragma once
#include <cstdint>
#include <functional>

#include <ATen/core/Tensor.h>

#include "hessian_factor.h"
#include "ptq/quant/scheme.h"

namespace ptq::quantizer {

/// The grids that the solver rounds to.
struct SolverGrids {
  at::Tensor scale;     ///< float32 [out, groups]
  at::Tensor zero;      ///< uint8 [out, groups]
  at::Tensor group_of;  ///< int32 [in], in the weight's own column order
  /// If set, called before the first column of every group, with the group's weights as they are
  /// then, float32 [out, length], and its index; writes that group's columns of `scale` and `zero`.
  /// Needs the natural column order and contiguous groups.
  std::function<void(const at::Tensor& weights, int64_t group)> refit;
};

struct Solution {
  at::Tensor q;  ///< uint8 [out, in] in the weight's own column order
  double error;  ///< tr((Ŵ−W) H (Ŵ−W)ᵀ), H without what was added to its diagonal
};

/// Rounds the columns of `weight`, float32 [out, in] contiguous, in the factor's order and feeds
/// each column's error forward: q_k = round(w_k + Σ_{j<k} (w_j − q_j) R_jk).  This is GPTQ
/// (arXiv:2210.17323) in the form of LDLQ (arXiv:2307.13304, equation 2), which gives the same
/// codes without inverting H.  Parallel over rows.  Works where `weight` and `factor` lie, on the
/// CPU or a CUDA device (throws as round_columns_on_device); grids and codes are on the CPU.
Solution solve_columns(const at::Tensor& weight, const HessianFactor& factor, SolverGrids& grids,
                       const QuantScheme& scheme);

}  // namespace ptq::quantizer
