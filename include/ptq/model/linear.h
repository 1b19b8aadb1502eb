#pragma once
#include <memory>

#include <ATen/core/Tensor.h>

#include "ptq/backends/backend.h"
#include "ptq/model/site.h"

namespace ptq {

/// x Wᵀ + b: `x` float32 [..., in], `weight` [out, in] in float32, bfloat16 or float16 (a slice of
/// an LM head as stored), `bias` float32 [out] or undefined -> float32 [..., out].  Arithmetic is
/// float32; without autograd a result row depends on its own input row only, to the last bit.
at::Tensor affine(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias = {});

/// `affine` of float32 [rows, in] without bias and autograd into `y`, float32 [rows, out], a buffer
/// to reuse or columns of one (each row contiguous): the pages of a fresh result of LM head size
/// cost as much as a tenth of the product.  Throws std::logic_error if `y` does not fit.
void affine_into(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& y);

/// y = x Wᵀ + b of one site; never knows which method made W.
class Linear {
 public:
  /// `weight`: float32 [out, in]; `bias`: float32 [out] or undefined.
  Linear(LinearSite site, at::Tensor weight, at::Tensor bias);
  /// One that runs on a packed weight [out, in], without autograd.
  Linear(LinearSite site, std::shared_ptr<const PackedWeight> weight, at::Tensor bias);

  /// float32 [..., in] -> [..., out].  Throws std::logic_error for a packed weight if autograd
  /// records or `x` is not float32.
  at::Tensor forward(const at::Tensor& x) const;
  /// For a recorded pass that needs the gradient of `x` and not the values: zeros of the shape of
  /// `forward` whose gradient is that of `forward`, without the product; or `forward` itself where
  /// autograd uses the plain formulas.
  at::Tensor forward_for_gradient(const at::Tensor& x) const;

  /// PackedWeight::prepare; null for a dense weight.
  std::shared_ptr<void> prepare(int64_t rows) const {
    return packed_ == nullptr ? nullptr : packed_->prepare(rows);
  }

  const LinearSite& site() const& { return site_; }
  /// Throws std::logic_error if the weight is packed.
  const at::Tensor& weight() const&;
  const at::Tensor& bias() const& { return bias_; }
  /// Replaces the weight, packed or not, by a dense one; throws std::logic_error unless float32
  /// [out, in].
  void set_weight(at::Tensor weight);
  /// Replaces the bias; throws std::logic_error unless there is one and `bias` is float32 [out].
  void set_bias(at::Tensor bias);

 private:
  LinearSite site_;
  at::Tensor weight_, bias_;
  std::shared_ptr<const PackedWeight> packed_;  ///< null: the weight is dense
};

}  // namespace ptq
