#include "../src/quantizers/cholesky.h"

#include <limits>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace {

using ptq::quantizer::cholesky_upper;

class CholeskyOf : public testing::TestWithParam<int64_t> {};

TEST_P(CholeskyOf, FactorMultipliesBackToTheMatrix) {
  const int64_t n = GetParam();
  at::manual_seed(1);
  const at::Tensor x = at::randn({n + 8, n});
  at::Tensor a = x.t().mm(x);
  const at::Tensor wide = a.to(at::kDouble);
  ASSERT_TRUE(cholesky_upper(a));
  const at::Tensor u = a.triu().to(at::kDouble);
  // Backward error of a Cholesky factorization (Higham, Accuracy and Stability, theorem 10.3):
  // |UᵀU − A| ≤ (n + 2)·eps·|Uᵀ||U|.
  const at::Tensor bound = u.abs().t().mm(u.abs()) * static_cast<double>(n + 2) *
                           static_cast<double>(std::numeric_limits<float>::epsilon());
  EXPECT_TRUE(((u.t().mm(u) - wide).abs() <= bound).all().item<bool>());
}

// Around the block of 64 rows and the strip of 128 columns.
INSTANTIATE_TEST_SUITE_P(BlockEdges, CholeskyOf, testing::Values(1, 2, 63, 64, 65, 128, 193, 300));

TEST(Cholesky, RefusesWhatIsNotPositiveDefinite) {
  at::Tensor indefinite = at::eye(100);
  indefinite[80][80] = -1;
  EXPECT_FALSE(cholesky_upper(indefinite));
  at::Tensor singular = at::ones({70, 70});
  EXPECT_FALSE(cholesky_upper(singular));
  at::Tensor poisoned = at::eye(100);
  poisoned[10][70] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_FALSE(cholesky_upper(poisoned));
}

}  // namespace
