#pragma once
#include <ATen/core/Tensor.h>

#include "ptq/model/site.h"

namespace ptq {

/// y = x Wᵀ + b of one site; never knows which method made W.
class Linear {
 public:
  /// `weight`: float32 [out, in]; `bias`: float32 [out] or undefined.
  Linear(LinearSite site, at::Tensor weight, at::Tensor bias);

  /// float32 [..., in] -> [..., out].
  at::Tensor forward(const at::Tensor& x) const;

  const LinearSite& site() const& { return site_; }
  const at::Tensor& weight() const& { return weight_; }
  const at::Tensor& bias() const& { return bias_; }
  /// Replaces the weight; throws std::logic_error unless float32 [out, in].
  void set_weight(at::Tensor weight);

 private:
  LinearSite site_;
  at::Tensor weight_, bias_;
};

}  // namespace ptq
