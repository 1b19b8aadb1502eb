#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "batch.h"

namespace {

TEST(TokenEnergy, SumsInputsWeightedByTheGradientsEnergy) {
  at::manual_seed(1);
  const ptq::SiteBatch batch = ptq::test::random_batch(3, 37, 290, 300);
  const ptq::SiteStats stats = ptq::test::collected(
      "token-energy", {ptq::test::sequences_of(batch, 0, 1), ptq::test::sequences_of(batch, 1, 2)});
  const at::Tensor d = ptq::test::rows64(batch.g).square().sum(1, true);
  const at::Tensor exact = (ptq::test::rows64(batch.x).square() * d).sum(0);
  // 8 additions, 2 products, and D: a product, 8 additions and its own rounding.
  EXPECT_TRUE(ptq::test::within(stats.sum("token-energy"), exact, exact, 8 + 2 + 10));
  EXPECT_EQ(stats.counts().targets, 3 * 36);
}

TEST(TokenEnergy, IsTheDiagonalOfWeightedGram) {
  at::manual_seed(2);
  const ptq::SiteBatch batch = ptq::test::random_batch(4, 9, 6, 20);
  const at::Tensor energy = ptq::test::collected("token-energy", {batch}).sum("token-energy");
  const at::Tensor gram = ptq::test::collected("weighted-gram", {batch}).sum("weighted-gram");
  EXPECT_TRUE(ptq::test::within(gram[0].diagonal(), energy, energy, 40 + 36));
}

}  // namespace
