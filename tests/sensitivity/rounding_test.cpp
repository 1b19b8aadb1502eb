#include "ptq/sensitivity/rounding.h"

#include <cmath>
#include <vector>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "ptq/core/error.h"

namespace {

using ptq::QuantScheme;
using ptq::RoundingDirection;

ptq::LinearSite site_of(const at::Tensor& weight) {
  ptq::LinearSite site;
  site.name = "model.layers.2.mlp.up_proj";
  site.out_features = weight.size(0);
  site.in_features = weight.size(1);
  return site;
}

at::Tensor rounded(const at::Tensor& weight, const QuantScheme& scheme) {
  return weight.to(at::kDouble) + RoundingDirection(scheme).of(site_of(weight), weight);
}

/// The definition, one group at a time.
std::vector<double> plain_asymmetric(const std::vector<double>& group, int bits) {
  double low = 0, high = 0;
  for (const double w : group) {
    low = std::min(low, w);
    high = std::max(high, w);
  }
  const double top = std::pow(2, bits) - 1;
  const double scale = high > low ? (high - low) / top : 1;
  const double zero = std::nearbyint(-low / scale);
  std::vector<double> result;
  for (const double w : group) {
    const double q = std::min(top, std::max(0.0, std::nearbyint(w / scale) + zero));
    result.push_back((q - zero) * scale);
  }
  return result;
}

TEST(RoundingDirection, AsymmetricFollowsItsDefinitionGroupByGroup) {
  at::manual_seed(5);
  const at::Tensor weight = at::randn({6, 24}) + at::randn({6, 1});
  for (const int bits : {2, 3, 4, 8}) {
    const at::Tensor result = rounded(weight, {bits, 8, false});
    for (int64_t row = 0; row < 6; ++row) {
      for (int64_t first = 0; first < 24; first += 8) {
        std::vector<double> group;
        for (int64_t j = first; j < first + 8; ++j)
          group.push_back(weight[row][j].item<float>());
        const std::vector<double> expected = plain_asymmetric(group, bits);
        for (int64_t j = 0; j < 8; ++j)  // the displacement is rounded to float32 once
          EXPECT_NEAR(result[row][first + j].item<double>(), expected[static_cast<size_t>(j)],
                      0x1p-24);
      }
    }
  }
}

TEST(RoundingDirection, SymmetricGivesTheLargestMagnitudeTheOneMoreStep) {
  const at::Tensor weight =
      at::tensor({4.0F, -1.2F, 3.0F, 0.0F, -4.0F, 3.9F, 1.4F, 0.1F}).view({2, 4});
  // 3 bits: scale -1 in the first row, 1 in the second, where 3.9 meets the highest code, 3.
  const at::Tensor expected =
      at::tensor({4.0, -1.0, 3.0, 0.0, -4.0, 3.0, 1.0, 0.0}, at::kDouble).view({2, 4});
  EXPECT_LT((rounded(weight, {3, -1, true}) - expected).abs().max().item<double>(), 1e-6);
}

TEST(RoundingDirection, IsAtMostHalfAStepInsideTheRange) {
  at::manual_seed(6);
  const at::Tensor weight = at::randn({300, 64});
  const at::Tensor delta = RoundingDirection({4, 64, false}).of(site_of(weight), weight);
  const at::Tensor step = (weight.amax(1) - weight.amin(1)) / 15;
  // The zero point rounds, too: a whole step at the ends of the range.
  EXPECT_LT((delta.abs().amax(1) / step).max().item<float>(), 1.0F);
  EXPECT_GT((delta.abs().mean(1) / step).min().item<float>(), 0.15F);
  EXPECT_LT((delta.abs().mean(1) / step).max().item<float>(), 0.35F);
}

TEST(RoundingDirection, LeavesZerosAlone) {
  for (const bool symmetric : {true, false}) {
    const at::Tensor weight = at::zeros({2, 8});
    EXPECT_EQ(rounded(weight, {4, 4, symmetric}).count_nonzero().item<int64_t>(), 0);
  }
}

TEST(RoundingDirection, GivesTheSameForManyRowsAsForEachAlone) {
  at::manual_seed(7);
  const at::Tensor weight = at::randn({3, (1 << 19) + 64});  // more than fits into one part
  const RoundingDirection direction({4, 64, true});
  const at::Tensor whole = direction.of(site_of(weight), weight);
  EXPECT_TRUE(at::equal(whole[2], direction.of(site_of(weight), weight.slice(0, 2, 3))[0]));
}

TEST(RoundingDirection, NamesTheSiteThatItsGroupSizeDoesNotDivide) {
  const at::Tensor weight = at::zeros({2, 24});
  try {
    RoundingDirection({4, 16, true}).of(site_of(weight), weight);
    FAIL() << "no error";
  } catch (const ptq::UnsupportedError& error) {
    EXPECT_NE(std::string(error.what()).find("model.layers.2.mlp.up_proj"), std::string::npos);
  }
  EXPECT_THROW(RoundingDirection({1, 16, true}), ptq::ConfigError);
  EXPECT_THROW(RoundingDirection({4, -1, true, true}), ptq::ConfigError);  // a table is no grid
}

TEST(RoundingDirection, HasAKeyOfItsSettings) {
  EXPECT_NE(RoundingDirection({4, 16, true}).key(), RoundingDirection({4, 16, false}).key());
  EXPECT_NE(RoundingDirection({4, 16, true}).key(), RoundingDirection({3, 16, true}).key());
  EXPECT_EQ(RoundingDirection({4, -1, true}).key(), RoundingDirection({4, -1, true}).key());
}

}  // namespace
