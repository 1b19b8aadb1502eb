#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "batch.h"

namespace {

using ptq::test::rows64;

TEST(PooledGradient, IsTheGradientOfTheWholeLoss) {
  at::manual_seed(1);
  const ptq::SiteBatch batch = ptq::test::random_batch(5, 21, 30, 40);
  const at::Tensor sum =
      ptq::test::collected("pooled-gradient", {ptq::test::sequences_of(batch, 0, 2),
                                               ptq::test::sequences_of(batch, 2, 3)})
          .sum("pooled-gradient");
  const at::Tensor size = rows64(batch.g).abs().t().mm(rows64(batch.x).abs());
  EXPECT_TRUE(ptq::test::within(sum, rows64(batch.g).t().mm(rows64(batch.x)), size, 5 * 21 + 1));
}

// Identities (a) and (b): ‖GᵀX_j‖² = (XᵀDX)_jj + Σ over t ≠ t' of x_tj x_t'j ⟨g_t, g_t'⟩, of which
// the per-sequence form keeps the pairs within a sequence.
TEST(PooledGradient, DiffersFromTheOtherReadingsByTheCrossTerms) {
  at::manual_seed(2);
  const int64_t sequences = 3, seq = 7, tokens = sequences * seq;
  const ptq::SiteBatch batch = ptq::test::random_batch(sequences, seq, 5, 9);
  const at::Tensor x = rows64(batch.x), g = rows64(batch.g), k = g.mm(g.t());
  const auto cross = [&](const at::Tensor& mask) { return (x * (k * mask).mm(x)).sum(0); };
  const at::Tensor diagonal = at::eye(tokens, at::kDouble);
  const at::Tensor same =
      at::kron(at::eye(sequences, at::kDouble), at::ones({seq, seq}, at::kDouble));
  const auto pooled = ptq::test::collected("pooled-gradient", {batch})
                          .sum("pooled-gradient")
                          .to(at::kDouble)
                          .square()
                          .sum(0);
  const at::Tensor token = ptq::test::collected("token-energy", {batch}).sum("token-energy");
  const at::Tensor sequence =
      ptq::test::collected("sequence-energy", {batch}).sum("sequence-energy");
  const at::Tensor size = (x.abs() * (g.abs().mm(g.abs().t())).mm(x.abs())).sum(0);
  const int64_t roundings = 2 * (tokens + 20);
  EXPECT_TRUE(ptq::test::within(pooled, token + cross(1 - diagonal), size, roundings));
  EXPECT_TRUE(ptq::test::within(sequence, token + cross(same - diagonal), size, roundings));
  EXPECT_TRUE(ptq::test::within(pooled, sequence + cross(1 - same), size, roundings));
  EXPECT_FALSE(ptq::test::within(pooled, token, size, roundings));
}

}  // namespace
