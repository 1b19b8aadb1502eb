#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "batch.h"

namespace {

// Identity (c): with a token as the sample, the Fisher diagonal's column sums are diag(XᵀDX).
TEST(FisherToken, ColumnSumsAreTokenEnergyAndTheDiagonalOfWeightedGram) {
  at::manual_seed(1);
  const ptq::SiteBatch batch = ptq::test::random_batch(3, 21, 50, 150);
  const at::Tensor fisher =
      ptq::test::collected("fisher-token", {ptq::test::sequences_of(batch, 0, 1),
                                            ptq::test::sequences_of(batch, 1, 2)})
          .sum("fisher-token");
  const at::Tensor x = ptq::test::rows64(batch.x).square();
  const at::Tensor g = ptq::test::rows64(batch.g).square(), exact = g.t().mm(x);
  // 63 additions and 3 products.
  EXPECT_TRUE(ptq::test::within(fisher, exact, exact, 66));
  const at::Tensor columns = fisher.sum(0, false, at::kDouble), size = exact.sum(0);
  const at::Tensor energy = ptq::test::collected("token-energy", {batch}).sum("token-energy");
  EXPECT_TRUE(ptq::test::within(columns, energy, size, 66 + 20));
  const at::Tensor gram = ptq::test::collected("weighted-gram", {batch}).sum("weighted-gram");
  EXPECT_TRUE(ptq::test::within(gram[0].diagonal(), columns, size, 66 + 75));
}

}  // namespace
