#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "batch.h"

namespace {

TEST(MeanMagnitude, SumsAbsoluteInputs) {
  at::manual_seed(1);
  // 300 columns and 37 tokens: a run and a task that are not full.
  const ptq::SiteBatch batch{ptq::test::random_batch(3, 37, 1, 300).x, {}};
  const ptq::SiteStats stats = ptq::test::collected(
      "mean-magnitude", {{batch.x.narrow(0, 0, 1), {}}, {batch.x.narrow(0, 1, 2), {}}});
  const at::Tensor exact = ptq::test::rows64(batch.x).abs().sum(0);
  EXPECT_TRUE(ptq::test::within(stats.sum("mean-magnitude"), exact, exact, 9));
  EXPECT_EQ(stats.counts().tokens, 3 * 37);
  EXPECT_EQ(stats.counts().sequences, 3);
  EXPECT_EQ(stats.counts().targets, 0);
}

}  // namespace
