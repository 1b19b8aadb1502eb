#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "batch.h"

namespace {

at::Tensor sum_of(const std::vector<ptq::SiteBatch>& batches) {
  return ptq::test::collected("cross-gram-after-first", batches).sum("cross-gram-after-first");
}

TEST(CrossGramAfterFirst, IsTheProductInFloat64WithoutTheFirstTokenOfEachSequence) {
  at::manual_seed(1);
  ptq::SiteBatch batch = ptq::test::random_batch(3, 37, 1, 150);
  batch.x.select(1, 0).mul_(1000);
  const at::Tensor sum =
      sum_of({ptq::test::sequences_of(batch, 0, 2), ptq::test::sequences_of(batch, 2, 1)});
  const at::Tensor x = ptq::test::rows64(batch.x.slice(1, 1));
  const at::Tensor miss = ptq::test::rows64(batch.reference.slice(1, 1)) - x;
  const at::Tensor size = (miss.abs() + x.abs()).t().mm(x.abs());
  // n roundings of a float32 sum, one of each product and one of the difference, which is relative
  // to what it is the difference of at most.
  EXPECT_TRUE(ptq::test::within(sum, miss.t().mm(x), size, x.size(0) + 2));
}

TEST(CrossGramAfterFirst, OfSequencesOfOneTokenIsNothing) {
  const at::Tensor x = at::randn({4, 1, 12});
  EXPECT_EQ(sum_of({{x, {}, x * 2}}).abs().max().item<float>(), 0);
}

}  // namespace
