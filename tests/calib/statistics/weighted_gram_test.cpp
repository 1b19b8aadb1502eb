#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "batch.h"

namespace {

using ptq::test::rows64;

TEST(WeightedGram, IsTheSumOfTheGroupsMatrices) {
  at::manual_seed(1);
  const ptq::SiteBatch batch = ptq::test::random_batch(3, 21, 7, 150);
  const at::Tensor sum = ptq::test::collected("weighted-gram",
                                              {ptq::test::sequences_of(batch, 0, 2),
                                               ptq::test::sequences_of(batch, 2, 1)},
                                              {{"groups", 3}})
                             .sum("weighted-gram");
  const at::Tensor x = rows64(batch.x), g = rows64(batch.g).square();
  const int64_t edges[] = {0, 2, 4, 7};
  for (int64_t group = 0; group < 3; ++group) {
    const at::Tensor d = g.slice(1, edges[group], edges[group + 1]).sum(1, true);
    // 63 additions, 2 products, and D: a product, 8 additions and its own rounding.
    EXPECT_TRUE(ptq::test::within(sum[group], (x * d).t().mm(x), (x * d).abs().t().mm(x.abs()),
                                  63 + 2 + 10))
        << group;
    EXPECT_TRUE(sum[group].equal(sum[group].t()));
  }
  const at::Tensor whole = ptq::test::collected("weighted-gram", {batch}).sum("weighted-gram");
  const at::Tensor size = (x * g.sum(1, true)).abs().t().mm(x.abs());
  EXPECT_TRUE(ptq::test::within(whole[0], sum.to(at::kDouble).sum(0), size, 2 * 75));
}

TEST(WeightedGram, RefusesMoreGroupsThanOutputs) {
  const ptq::SiteBatch batch = ptq::test::random_batch(1, 4, 2, 3);
  EXPECT_THROW(ptq::test::collected("weighted-gram", {batch}, {{"groups", 3}}), ptq::ConfigError);
}

}  // namespace
