#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "batch.h"

namespace {

TEST(GradientEnergy, GivesTheOutputsEnergyAndTheEffectiveSampleSize) {
  at::manual_seed(1);
  const ptq::SiteBatch batch = ptq::test::random_batch(3, 37, 290, 4);
  const ptq::SiteStats stats = ptq::test::collected(
      "gradient-energy",
      {ptq::test::sequences_of(batch, 0, 1), ptq::test::sequences_of(batch, 1, 2)});
  const at::Tensor squares = ptq::test::rows64(batch.g).square(), d = squares.sum(1);
  EXPECT_TRUE(ptq::test::within(stats.sum("gradient-energy"), squares.sum(0), squares.sum(0), 9));
  const at::Tensor total = d.sum().reshape({1}), total_square = d.square().sum().reshape({1});
  // D is off by a product, 8 additions and its own rounding.
  EXPECT_TRUE(ptq::test::within(stats.sum("gradient-energy", "energy"), total, total, 10));
  EXPECT_TRUE(ptq::test::within(stats.sum("gradient-energy", "energy_squared"), total_square,
                                total_square, 21));
}

TEST(GradientEnergy, TokensOfOneSizeAreWorthTheirNumber) {
  at::Tensor g = at::zeros({2, 8, 3});
  g.select(2, 1).fill_(0.25);
  const ptq::SiteStats stats = ptq::test::collected("gradient-energy", {{at::ones({2, 8, 5}), g}});
  const auto energy = stats.sum("gradient-energy", "energy").item<double>();
  EXPECT_EQ(energy * energy / stats.sum("gradient-energy", "energy_squared").item<double>(), 16);
}

}  // namespace
