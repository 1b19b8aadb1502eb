#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "batch.h"

namespace {

TEST(GramAfterFirst, IsTheProductInFloat64WithoutTheFirstTokenOfEachSequence) {
  at::manual_seed(1);
  at::Tensor x = at::randn({3, 7, 145});
  x.select(1, 0).mul_(1000);  // a sink, which would be seen at once
  const at::Tensor sum =
      ptq::test::collected("gram-after-first", {{x.narrow(0, 0, 2), {}}, {x.narrow(0, 2, 1), {}}})
          .sum("gram-after-first");
  const at::Tensor rows = ptq::test::rows64(x.slice(1, 1));
  // A float32 sum of n products: n roundings and one for each product.
  EXPECT_TRUE(
      ptq::test::within(sum, rows.t().mm(rows), rows.abs().t().mm(rows.abs()), rows.size(0) + 1));
  EXPECT_TRUE(sum.equal(sum.t()));
}

TEST(GramAfterFirst, OfSequencesOfOneTokenIsNothing) {
  EXPECT_EQ(ptq::test::collected("gram-after-first", {{at::randn({4, 1, 12}), {}}})
                .sum("gram-after-first")
                .abs()
                .max()
                .item<float>(),
            0);
}

}  // namespace
