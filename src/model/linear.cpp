#include "ptq/model/linear.h"

#include <stdexcept>
#include <utility>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "ptq/model/matmul.h"
#include "recorded.h"
#include "row_ops.h"

namespace ptq {

at::Tensor affine(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  if (weight.scalar_type() != at::kFloat && weight.scalar_type() != at::kBFloat16)
    return affine(x, weight.to(at::kFloat), bias);
  if (kernels_can_record({x}, {weight, bias})) return recorded_affine(x, weight, bias);
  const bool recorded = at::GradMode::is_enabled() && weight.requires_grad();
  if (recorded || needs_record({x, bias}) || !weight.is_cpu())
    return at::linear(x, weight.to(x.scalar_type()),
                      bias.defined() ? bias.to(x.scalar_type()) : bias);
  std::vector<int64_t> sizes = x.sizes().vec();
  sizes.back() = weight.size(0);
  return matmul_transposed(x.reshape({-1, weight.size(1)}), weight, bias).view(sizes);
}

void affine_into(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& y) {
  const bool fits = y.scalar_type() == at::kFloat && y.dim() == 2 && y.size(0) == x.size(0) &&
                    y.size(1) == weight.size(0) && y.stride(1) == 1;
  if (!fits) throw std::logic_error("the result of a product does not fit its buffer");
  const bool read_as_stored =
      weight.scalar_type() == at::kFloat || weight.scalar_type() == at::kBFloat16;
  matmul_transposed_into(x, read_as_stored ? weight : weight.to(at::kFloat), y);
}

Linear::Linear(LinearSite site, at::Tensor weight, at::Tensor bias)
    : site_(std::move(site)), bias_(std::move(bias)) {
  set_weight(std::move(weight));
}

Linear::Linear(LinearSite site, std::shared_ptr<const PackedWeight> weight, at::Tensor bias)
    : site_(std::move(site)), bias_(std::move(bias)), packed_(std::move(weight)) {}

at::Tensor Linear::forward(const at::Tensor& x) const {
  if (packed_ == nullptr) return affine(x, weight_, bias_);
  const bool recorded = at::GradMode::is_enabled() && x.requires_grad();
  if (recorded || x.scalar_type() != at::kFloat)
    throw std::logic_error(site_.name + " has a packed weight: no autograd, float32 only");
  // A packed weight multiplies where it lies: what comes from another device goes there and back.
  at::Tensor rows = x.reshape({-1, site_.in_features}).to(packed_->device());
  if (rows.stride(1) != 1) rows = rows.contiguous();
  at::Tensor y = at::empty({rows.size(0), site_.out_features}, rows.options());
  packed_->multiply(rows, y);
  y = y.to(x.device());
  if (bias_.defined()) y.add_(bias_);
  std::vector<int64_t> sizes = x.sizes().vec();
  sizes.back() = site_.out_features;
  return y.view(sizes);
}

const at::Tensor& Linear::weight() const& {
  if (packed_ != nullptr) throw std::logic_error(site_.name + " has no dense weight: it is packed");
  return weight_;
}

at::Tensor Linear::forward_for_gradient(const at::Tensor& x) const {
  return kernels_can_record({x}, {weight_, bias_}) ? recorded_affine_gradient(x, weight_)
                                                   : forward(x);
}

void Linear::set_weight(at::Tensor weight) {
  if (weight.scalar_type() != at::kFloat || weight.dim() != 2 ||
      weight.size(0) != site_.out_features || weight.size(1) != site_.in_features)
    throw std::logic_error("weight of " + site_.name + " must be float32 [" +
                           std::to_string(site_.out_features) + ", " +
                           std::to_string(site_.in_features) + "]");
  weight_ = std::move(weight);
  packed_ = nullptr;
}

void Linear::set_bias(at::Tensor bias) {
  if (!bias_.defined() || bias.scalar_type() != at::kFloat || bias.sizes() != bias_.sizes())
    throw std::logic_error("bias of " + site_.name + " must be there and float32 [" +
                           std::to_string(site_.out_features) + "]");
  bias_ = std::move(bias);
}

}  // namespace ptq
