#include "small_matmul_plan.h"

#include <gtest/gtest.h>

#include "kernels/small_matmul_kernel.h"

namespace ptq::cuda {
namespace {

TEST(SmallMatmulPlan, CoversEveryTokenAndChannel) {
  for (int64_t m = 1; m < 200; ++m) {
    for (const int64_t n : {1, 64, 127, 128, 129, 4096, 14336, 128256}) {
      for (const int64_t padded_k : {64, 256, 4096, 14336}) {
        const SmallMatmulPlan plan = plan_small_matmul(m, n, padded_k, 132);
        ASSERT_GE(plan.token_tiles * plan.tokens, m);
        ASSERT_LT((plan.token_tiles - 1) * plan.tokens, m);
        ASSERT_GE(plan.channel_tiles * plan.channels(), n);
        ASSERT_GE(plan.splits, 1);
        ASSERT_TRUE(plan.splits == 1 || plan.splits * 4 <= padded_k / kSlabK);
      }
    }
  }
}

TEST(SmallMatmulPlan, AgreesWithTheKernelsThatAreBuilt) {
  const auto channels = [](int64_t m) { return plan_small_matmul(m, 4096, 4096, 132).channels(); };
  EXPECT_EQ(channels(SmallMatmul8::kTokens), SmallMatmul8::kChannels);
  EXPECT_EQ(channels(SmallMatmul16::kTokens), SmallMatmul16::kChannels);
  EXPECT_EQ(channels(SmallMatmul32::kTokens), SmallMatmul32::kChannels);
  EXPECT_EQ(channels(SmallMatmul64::kTokens), SmallMatmul64::kChannels);
}

TEST(SmallMatmulPlan, FillsTheDevice) {
  // 4096 x 4096 at one token: 32 tiles, two blocks a multiprocessor.
  const SmallMatmulPlan plan = plan_small_matmul(1, 4096, 4096, 132);
  EXPECT_EQ(plan.tiles() * plan.splits, 256);
  EXPECT_EQ(plan.partial_sums(), 256 * 8 * 128);
  EXPECT_EQ(plan_small_matmul(1, 128256, 4096, 132).splits, 1);
}

}  // namespace
}  // namespace ptq::cuda
