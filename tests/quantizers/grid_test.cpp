#include "ptq/quantizers/grid.h"

#include <cmath>
#include <limits>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "ptq/core/error.h"

namespace ptq {
namespace {

constexpr QuantScheme kSymmetric{4, 16, true};
constexpr QuantScheme kAsymmetric{4, 16, false};

/// Σ importance·(ŵ − w)² in float64 of rounding `x` to the grid.
double grid_error(const at::Tensor& x, double scale, int zero, int bits,
                  const at::Tensor& importance) {
  double error = 0;
  for (int64_t j = 0; j < x.numel(); ++j) {
    const double w = x[j].item<double>();
    const double code =
        std::min(std::max(std::nearbyint(w / scale) + zero, 0.0), std::pow(2.0, bits) - 1);
    const double miss = (code - zero) * scale - w;
    error += (importance.defined() ? importance[j].item<double>() : 1.0) * miss * miss;
  }
  return error;
}

TEST(Grid, SymmetricFullRangeGivesTheLargestMagnitudeTheLowestCode) {
  at::Tensor weight = at::linspace(-1.0, 0.5, 16).reshape({1, 16});
  const Grids down = fit_grids(weight, kSymmetric, at::kFloat, {});
  const Grids up = fit_grids(-weight, kSymmetric, at::kFloat, {});
  EXPECT_EQ(down.scale.item<float>(), 0.125F);
  EXPECT_EQ(up.scale.item<float>(), -0.125F);
  EXPECT_EQ(round_to_nearest(weight, kSymmetric, down).weight.q[0][0].item<int>(), 0);
  EXPECT_EQ(round_to_nearest(-weight, kSymmetric, up).weight.q[0][0].item<int>(), 0);
}

TEST(Grid, PositiveGroupsAreNotClipped) {
  const at::Tensor weight = at::linspace(0.1, 0.8, 16).reshape({1, 16});
  const Grids grids = fit_grids(weight, kSymmetric, at::kFloat, {});
  const RoundedWeight rounded = round_to_nearest(weight, kSymmetric, grids);
  const QuantizedTensor tensor{rounded.weight.q, grids.scale, grids.zero,
                               contiguous_groups(kSymmetric, 16), kSymmetric};
  // Nearest points of an unclipped grid are at most half a step away; float16 rounds the scale by
  // 2^-11 of 8 steps.
  const float half_step = 0.5F * std::abs(grids.scale.item<float>()) * 1.01F;
  EXPECT_LE((tensor.dequantize() - weight).abs().max().item<float>(), half_step);
  EXPECT_NEAR(half_step, 0.05F, 0.001F);
}

TEST(Grid, AsymmetricRangeHoldsZero) {
  const at::Tensor weight = at::linspace(3.0, 15.0, 16).reshape({1, 16});
  const Grids grids = fit_grids(weight, kAsymmetric, at::kFloat, {});
  EXPECT_EQ(grids.scale.item<float>(), 1.0F);
  EXPECT_EQ(grids.zero.item<int>(), 0);
  const Grids below = fit_grids(-weight, kAsymmetric, at::kFloat, {});
  EXPECT_EQ(below.zero.item<int>(), 15);
}

TEST(Grid, GroupOfZerosGetsAPositiveScaleAndZeroCodes) {
  for (const QuantScheme& scheme : {kSymmetric, kAsymmetric})
    for (const bool search : {false, true}) {
      const at::Tensor weight = at::zeros({2, 32});
      const Grids grids = fit_grids(weight, scheme, at::kBFloat16, {search, {}});
      EXPECT_TRUE(grids.scale.gt(0).all().item<bool>());
      const RoundedWeight rounded = round_to_nearest(weight, scheme, grids);
      EXPECT_TRUE(rounded.weight.q.eq(grids.zero.narrow(1, 0, 1)).all().item<bool>());
      EXPECT_EQ(rounded.squared_error, 0.0);
    }
}

TEST(Grid, ScalesAreWhatFilesHold) {
  at::manual_seed(1);
  // Magnitudes from below float16's smallest number to beyond 1000.
  const at::Tensor weight =
      at::randn({512, 32}) * at::exp2(at::linspace(-30, 10, 512)).unsqueeze(1);
  for (const at::ScalarType dtype : {at::kFloat, at::kHalf, at::kBFloat16})
    for (const bool search : {false, true})
      for (const QuantScheme& scheme : {kSymmetric, kAsymmetric}) {
        const Grids grids = fit_grids(weight, scheme, dtype, {search, {}});
        EXPECT_TRUE(at::equal(grids.scale, storable_scale(grids.scale, dtype)));
      }
}

TEST(Grid, FullRangeScaleIsRoundedAsStorableScaleRounds) {
  at::manual_seed(2);
  const at::Tensor weight =
      at::randn({2048, 16}) * at::exp2(at::linspace(-28, 8, 2048)).unsqueeze(1);
  const at::Tensor magnitude = std::get<0>(weight.abs().max(1, /*keepdim=*/true));
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    const Grids grids = fit_grids(weight, kSymmetric, dtype, {});
    EXPECT_TRUE(at::equal(grids.scale.abs(), storable_scale(magnitude / 8, dtype)));
  }
}

TEST(Grid, SearchIsNoWorseThanAnyTriedShrink) {
  at::manual_seed(3);
  const at::Tensor weight = at::randn({32, 16}).pow(3);
  const at::Tensor importance = at::rand({16}).pow(4) + 0.01;
  for (const at::Tensor& weights : {at::Tensor(), importance}) {
    const Grids full = fit_grids(weight, kSymmetric, at::kFloat, {});
    const Grids best = fit_grids(weight, kSymmetric, at::kFloat, {true, weights});
    double gained = 0;
    for (int64_t row = 0; row < weight.size(0); ++row) {
      const double error = grid_error(weight[row], best.scale[row].item<double>(), 8, 4, weights);
      const double start = full.scale[row].item<double>();
      for (const double shrink : {1.0, 0.8, 0.6, 0.4}) {
        const double scale =
            storable_scale(at::tensor({static_cast<float>(start * shrink)}), at::kFloat)
                .item<double>();
        // Sums of 16 float32 terms and the float32 shrink: relative 1e-4 is ample.
        EXPECT_LE(error, grid_error(weight[row], scale, 8, 4, weights) * (1 + 1e-4));
      }
      gained += grid_error(weight[row], start, 8, 4, weights) - error;
    }
    EXPECT_GT(gained, 0.0);
  }
}

TEST(Grid, SearchTriesTheOtherSignAndNeighbouringZeroPoints) {
  at::manual_seed(4);
  const at::Tensor weight = at::randn({256, 16});
  const QuantScheme two_bits{2, 16, true}, two_bits_asymmetric{2, 16, false};
  const Grids full = fit_grids(weight, two_bits, at::kFloat, {});
  const Grids best = fit_grids(weight, two_bits, at::kFloat, {true, {}});
  EXPECT_TRUE((full.scale * best.scale).lt(0).any().item<bool>());
  const Grids range = fit_grids(weight, two_bits_asymmetric, at::kFloat, {});
  const Grids searched = fit_grids(weight, two_bits_asymmetric, at::kFloat, {true, {}});
  EXPECT_FALSE(at::equal(range.zero, searched.zero));
  EXPECT_LT(round_to_nearest(weight, two_bits_asymmetric, searched).squared_error,
            0.8 * round_to_nearest(weight, two_bits_asymmetric, range).squared_error);
}

TEST(Grid, ImportanceMovesTheGridTowardsItsColumns) {
  at::Tensor weight = at::full({1, 16}, 0.1);
  weight[0][0] = 1.0;
  at::Tensor importance = at::ones({16});
  importance[0] = 1e-6;
  const Grids plain = fit_grids(weight, kSymmetric, at::kFloat, {true, {}});
  const Grids weighted = fit_grids(weight, kSymmetric, at::kFloat, {true, importance});
  EXPECT_LT(grid_error(weight[0].narrow(0, 1, 15), weighted.scale.item<double>(), 8, 4, {}),
            0.1 * grid_error(weight[0].narrow(0, 1, 15), plain.scale.item<double>(), 8, 4, {}));
}

TEST(Grid, RoundingHandlesLengthsThatAreNoMultipleOfAVector) {
  at::manual_seed(5);
  for (const int64_t length : {1, 3, 17, 43}) {
    const QuantScheme scheme{3, length, false};
    const at::Tensor weight = at::randn({5, 2 * length});
    const Grids grids = fit_grids(weight, scheme, at::kFloat, {});
    const RoundedWeight rounded = round_to_nearest(weight, scheme, grids);
    const QuantizedTensor tensor{rounded.weight.q, grids.scale, grids.zero,
                                 contiguous_groups(scheme, 2 * length), scheme};
    tensor.check();
    const double error =
        (tensor.dequantize() - weight).to(at::kDouble).square().sum().item<double>();
    // float32 terms of a sum of at most 430: relative error below 430 · 2^-24.
    EXPECT_NEAR(rounded.squared_error, error, 1e-4 * error);
    const at::Tensor step =
        grids.scale.abs().repeat_interleave(length, 1);  // half of it bounds an unclipped error
    EXPECT_TRUE((tensor.dequantize() - weight).abs().le(step).all().item<bool>());
  }
}

TEST(Grid, RefusesWeightsThatAreNotFiniteOrTooLarge) {
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(), 1e7F})
    for (const int64_t column : {3, 38}) {  // inside a vector and in the tail
      at::Tensor weight = at::ones({2, 39});
      weight[1][column] = bad;
      EXPECT_THROW(fit_grids(weight, {4, 39, true}, at::kFloat, {}), NumericalError);
    }
}

}  // namespace
}  // namespace ptq
