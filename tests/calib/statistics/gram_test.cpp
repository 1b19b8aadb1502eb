#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "batch.h"

namespace {

class GramOfWidth : public testing::TestWithParam<int64_t> {};

TEST_P(GramOfWidth, EqualsTheFullProductInFloat64) {
  at::manual_seed(1);
  const at::Tensor x = at::randn({3, 7, GetParam()});
  const ptq::SiteStats stats =
      ptq::test::collected("gram", {{x.narrow(0, 0, 2), {}}, {x.narrow(0, 2, 1), {}}});
  const at::Tensor& sum = stats.sum("gram");
  const at::Tensor rows = ptq::test::rows64(x);
  // A float32 sum of n products: n roundings and one for each product.
  EXPECT_TRUE(
      ptq::test::within(sum, rows.t().mm(rows), rows.abs().t().mm(rows.abs()), rows.size(0) + 1));
  EXPECT_TRUE(sum.equal(sum.t()));
  EXPECT_EQ(stats.counts().tokens, 21);
}

// Around the leaf of 144 columns and odd halves of it, where the triangle is cut.
INSTANTIATE_TEST_SUITE_P(LeafEdges, GramOfWidth,
                         testing::Values(1, 5, 143, 144, 145, 289, 576, 1000));

}  // namespace
