#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "batch.h"

namespace {

TEST(CrossGram, IsTheProductOfTheDifferenceWithTheInput) {
  at::manual_seed(1);
  const ptq::SiteBatch batch = ptq::test::random_batch(3, 37, 1, 150);
  const at::Tensor sum = ptq::test::collected("cross-gram", {ptq::test::sequences_of(batch, 0, 2),
                                                             ptq::test::sequences_of(batch, 2, 1)})
                             .sum("cross-gram");
  const at::Tensor x = ptq::test::rows64(batch.x);
  const at::Tensor miss = ptq::test::rows64(batch.reference) - x;
  const at::Tensor size = (miss.abs() + x.abs()).t().mm(x.abs());
  // n roundings of a float32 sum, one of each product and one of the difference, which is relative
  // to what it is the difference of at most.
  EXPECT_TRUE(ptq::test::within(sum, miss.t().mm(x), size, x.size(0) + 2));
}

TEST(CrossGram, IsNothingWhereNothingDiffers) {
  at::manual_seed(2);
  const at::Tensor x = ptq::test::random_batch(2, 9, 1, 20).x;
  EXPECT_EQ(
      ptq::test::collected("cross-gram", {{x, {}, x}}).sum("cross-gram").abs().max().item<float>(),
      0);
}

}  // namespace
