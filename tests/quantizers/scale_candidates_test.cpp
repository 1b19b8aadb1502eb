#include "../src/quantizers/scale_candidates.h"

#include <cmath>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace ptq::quantizer {
namespace {

TEST(ScaleCandidates, FirstIsNoScaleAndAllAreCentred) {
  at::manual_seed(8);
  const at::Tensor saliency = at::exp(3 * at::randn({40}, at::kDouble));
  const auto candidates = scale_candidates(saliency, at::rand({40}, at::kDouble) + 0.01);
  EXPECT_TRUE(candidates.front().scale.eq(1).all().item<bool>());
  EXPECT_EQ(candidates.front().form, "none");
  EXPECT_EQ(candidates.size(), 41U);
  for (const ScaleCandidate& candidate : candidates) {
    const double largest = candidate.scale.max().item<double>();
    const double smallest = candidate.scale.min().item<double>();
    EXPECT_NEAR(std::sqrt(largest * smallest), 1, 1e-6);  // rounded to float32 twice
  }
}

TEST(ScaleCandidates, FollowTheirFormulas) {
  const at::Tensor saliency = at::tensor({1.0, 4.0, 9.0}, at::kDouble);
  const at::Tensor share = at::tensor({0.5, 0.25, 0.125}, at::kDouble);
  for (const ScaleCandidate& candidate : scale_candidates(saliency, share)) {
    at::Tensor expected = saliency.pow(candidate.ratio);
    if (candidate.form == "none") expected = at::ones({3}, at::kDouble);
    if (candidate.form == "weight-aware") expected = expected / share.pow(1 - candidate.ratio);
    const at::Tensor quotient = candidate.scale.to(at::kDouble) / expected;
    EXPECT_TRUE(at::allclose(quotient / quotient[0], at::ones({3}, at::kDouble), 1e-6, 0))
        << candidate.form << ' ' << candidate.ratio;
  }
}

TEST(ScaleCandidates, AChannelWithoutInputCountsAsAMeanOne) {
  const at::Tensor saliency = at::tensor({0.0, 1.0, 3.0, 2.0}, at::kDouble);
  const auto candidates = scale_candidates(saliency, at::ones({4}, at::kDouble));
  const at::Tensor last = candidates.back().scale;  // plain, ratio 1
  EXPECT_NEAR(last[0].item<double>(), last[3].item<double>(), 1e-6);
  const auto silent = scale_candidates(at::zeros({4}, at::kDouble), at::ones({4}, at::kDouble));
  for (const ScaleCandidate& candidate : silent)
    EXPECT_TRUE(candidate.scale.eq(1).all().item<bool>());
}

TEST(RangeShare, IsTheMeanPartOfTheGroupsRange) {
  const at::Tensor weight =
      at::tensor({1.0F, -2.0F, 3.0F, 0.0F, -4.0F, 1.0F, 0.0F, 0.0F}).view({2, 4});
  const at::Tensor share = range_share(weight, {4, 2, true});
  const at::Tensor expected = at::tensor({(0.5 + 1) / 2, (1 + 0.25) / 2, 0.5, 0.0}, at::kDouble);
  EXPECT_TRUE(at::allclose(share, expected, 1e-7, 1e-7));
}

}  // namespace
}  // namespace ptq::quantizer
