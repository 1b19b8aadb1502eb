#include "learned_rounding.h"

#include <algorithm>
#include <cmath>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

namespace ptq::quantizer {
namespace {

/// How far from its code's value a place begins at most.  Where the start moved codes away from
/// their weights on purpose, as feedback of errors does, places at the cells' edges (0.5) would
/// fall back at the first small steps.
constexpr float kReach = 0.35F;
constexpr float kLeastFactor = 0.5F, kMostFactor = 1.5F;
// What is kept of the running means of gradients and of their squares.
constexpr float kKeptMean = 0.9F, kKeptSquare = 0.99F;

float sign(float x) {
  return static_cast<float>((x > 0) - (x < 0));
}

/// To the nearest integer, ties to even, of what is far below 2^22: a call less than nearbyint
/// where the processor's own instruction may not be used.
float rounded(float x) {
  constexpr float kMagic = 12582912.0F;  // 1.5 · 2^23
  return (x + kMagic) - kMagic;
}

/// Rows for a thread to take at a time.
int64_t grain(int64_t in) {
  return 1 + (1 << 15) / (in + 1);
}

}  // namespace

/// One row of numbers that are learned.
struct LearnedRounding::Row {
  float* value;
  float *mean, *square;            ///< null: the sign of a gradient is all that counts
  float mean_share, square_share;  ///< of all gradients, what the running means hold so far

  /// Where number `i` goes: against this, −1 … 1 and seldom a little more.
  float direction(int64_t i, float gradient) const {
    if (mean == nullptr) return sign(gradient);
    mean[i] = kKeptMean * mean[i] + (1 - kKeptMean) * gradient;
    square[i] = kKeptSquare * square[i] + (1 - kKeptSquare) * gradient * gradient;
    if (!(square[i] > 0)) return 0;
    return mean[i] / mean_share / std::sqrt(square[i] / square_share);
  }
};

LearnedRounding::Learned LearnedRounding::learned(const at::Tensor& value, Optimizer optimizer) {
  if (optimizer == Optimizer::kSign) return {value, {}, {}};
  return {value, at::zeros_like(value), at::zeros_like(value)};
}

LearnedRounding::LearnedRounding(const QuantizedTensor& start, const at::Tensor& weight,
                                 at::ScalarType stored, Optimizer optimizer)
    : current_(start), start_scale_(start.scale.contiguous()), stored_(stored) {
  current_.q = start.q.clone();
  current_.zero = start.zero.contiguous();
  current_.group_of = start.group_of.contiguous();
  const at::Tensor group = current_.group_of.to(at::kLong);
  const at::Tensor codes = current_.q.to(at::kFloat);
  const at::Tensor place = (weight / start_scale_.index_select(1, group))
                               .add_(current_.zero.to(at::kFloat).index_select(1, group));
  place_ = learned(at::minimum(at::maximum(place, codes - kReach), codes + kReach), optimizer);
  factor_ = learned(at::ones_like(start_scale_), optimizer);
}

void LearnedRounding::step(const at::Tensor& gradient, const RoundingStep& size) {
  const at::Tensor rows = gradient.contiguous();
  const int64_t in = rows.size(1), groups = start_scale_.size(1);
  ++steps_;
  at::parallel_for(0, rows.size(0), grain(in), [&](int64_t begin, int64_t end) {
    std::vector<double> sums(static_cast<size_t>(groups));
    for (int64_t row = begin; row < end; ++row)
      step_row(row, rows.data_ptr<float>() + row * in, size, sums);
  });
  current_.scale = storable_scale(start_scale_ * factor_.value, stored_);
}

LearnedRounding::Row LearnedRounding::row_of(const Learned& learned, int64_t row) const {
  const auto at = [&](const at::Tensor& tensor) {
    return tensor.defined() ? tensor.data_ptr<float>() + row * tensor.size(1) : nullptr;
  };
  const auto share = [&](float kept) { return 1 - std::pow(kept, static_cast<float>(steps_)); };
  return {at(learned.value), at(learned.mean), at(learned.square), share(kKeptMean),
          share(kKeptSquare)};
}

void LearnedRounding::step_row(int64_t row, const float* gradient, const RoundingStep& size,
                               std::vector<double>& sums) {
  const int64_t in = place_.value.size(1), groups = start_scale_.size(1);
  const auto most = static_cast<float>((1 << current_.scheme.bits) - 1);
  const Row place = row_of(place_, row), factor = row_of(factor_, row);
  uint8_t* code = current_.q.data_ptr<uint8_t>() + row * in;
  const int32_t* group_of = current_.group_of.data_ptr<int32_t>();
  const uint8_t* zero = current_.zero.data_ptr<uint8_t>() + row * groups;
  const float* scale = start_scale_.data_ptr<float>() + row * groups;
  std::fill(sums.begin(), sums.end(), 0.0);
  const auto stride = static_cast<float>(size.codes);
  for (int64_t i = 0; i < in; ++i) {
    const int32_t group = group_of[i];
    // ∂ŵ/∂s = q − z, and ∂ŵ/∂t = s.
    sums[static_cast<size_t>(group)] += gradient[i] * static_cast<float>(code[i] - zero[group]);
    const float moved =
        place.value[i] - stride * place.direction(i, gradient[i] * sign(scale[group]));
    // No farther out than the last code's cell: it must be able to come back.
    place.value[i] = std::clamp(moved, -0.5F, most + 0.5F);
    code[i] = static_cast<uint8_t>(std::clamp(rounded(place.value[i]), 0.0F, most));
  }
  for (int64_t g = 0; g < groups; ++g) {
    const auto slope = static_cast<float>(sums[static_cast<size_t>(g)]) * scale[g];
    const float moved =
        factor.value[g] - static_cast<float>(size.scales) * factor.direction(g, slope);
    factor.value[g] = std::clamp(moved, kLeastFactor, kMostFactor);
  }
}

}  // namespace ptq::quantizer
