#include "../../src/quantizers/magr.h"

#include <cmath>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace ptq::quantizer {
namespace {

constexpr QuantScheme kScheme{3, 8, true};

at::Tensor random_weight() {
  at::manual_seed(5);
  return at::randn({6, 32}).contiguous();
}

/// Of inputs that span `rank` of 32 directions.
at::Tensor gram_of_rank(int64_t rank) {
  at::manual_seed(6);
  const at::Tensor x = at::matmul(at::randn({200, rank}), at::randn({rank, 32}));
  return at::matmul(x.t(), x).contiguous();
}

at::Tensor ranges(const at::Tensor& weight) {
  return weight.abs().view({6, 4, 8}).amax(2);
}

/// What reduce_ranges makes smaller, by the textbook in float64.
double objective(const at::Tensor& weight, const at::Tensor& gram, double strength) {
  const at::Tensor start = random_weight().to(at::kDouble), w = weight.to(at::kDouble);
  const at::Tensor h = gram.to(at::kDouble), delta = w - start;
  const double largest = at::linalg_eigvalsh(h).max().item<double>();
  const at::Tensor pull = (strength * ranges(start) * ranges(w)).sum();
  return (0.5 * (at::matmul(delta, h) * delta).sum() / largest + pull).item<double>();
}

TEST(Magr, EveryStepShrinksTheObjective) {
  for (const int64_t rank : {4, 32}) {
    const at::Tensor gram = gram_of_rank(rank);
    double before = objective(random_weight(), gram, 0.05);
    for (const int64_t iterations : {1, 2, 4, 16, 64}) {
      const double now =
          objective(reduce_ranges(random_weight(), gram, kScheme, {0.05, iterations}), gram, 0.05);
      EXPECT_LT(now, before) << rank << " " << iterations;
      before = now;
    }
  }
}

// With H = 1 the minimum is known: the largest magnitudes of a group are cut by α in sum, and a
// step of 1 / (1.05 λ_max) that starts at W0, where the gradient is 0, cuts exactly so.
TEST(Magr, CutsTheLargestMagnitudesByAlphaInSum) {
  const at::Tensor weight = random_weight();
  const at::Tensor reduced = reduce_ranges(weight, at::eye(32).contiguous(), kScheme, {0.25, 1});
  const at::Tensor cut = (weight - reduced).abs().view({6, 4, 8}).sum(2);
  // Eight float32 differences of numbers below 4.
  EXPECT_TRUE(at::allclose(cut, 0.25 * ranges(weight), /*rtol=*/0, /*atol=*/8 * 4 * 0x1p-23));
  const at::Tensor level = ranges(reduced).repeat_interleave(8, 1).view({6, 32});
  EXPECT_TRUE(reduced.equal(at::minimum(at::maximum(weight, -level), level)));
}

// In directions that inputs never take a weight may change as it likes.
TEST(Magr, ShrinksRangesWhereOutputsDoNotSeeIt) {
  const at::Tensor gram = gram_of_rank(4), weight = random_weight();
  const at::Tensor reduced = reduce_ranges(weight, gram, kScheme, {0.01, 200});
  EXPECT_LT(ranges(reduced).mean().item<double>(), 0.8 * ranges(weight).mean().item<double>());
  const at::Tensor delta = reduced - weight;
  const double error = (at::matmul(delta, gram) * delta).sum().item<double>();
  EXPECT_LT(error, 0.01 * (at::matmul(weight, gram) * weight).sum().item<double>());
}

TEST(Magr, LeavesTheWeightWhereThereIsNothingToGoBy) {
  const at::Tensor weight = random_weight();
  EXPECT_TRUE(reduce_ranges(weight, gram_of_rank(4), kScheme, {0, 5}).equal(weight));
  EXPECT_TRUE(reduce_ranges(weight, at::zeros({32, 32}), kScheme, {0.1, 5}).equal(weight));
  const at::Tensor broken = at::full({32, 32}, std::nan(""));
  EXPECT_TRUE(reduce_ranges(weight, broken, kScheme, {0.1, 5}).equal(weight));
}

}  // namespace
}  // namespace ptq::quantizer
