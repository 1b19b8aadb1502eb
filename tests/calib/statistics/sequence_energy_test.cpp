#include <array>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "batch.h"

namespace {

// Identity (b): Σ_s ‖G_sᵀ x_{s,j}‖² is the column sum of the per-sequence Fisher diagonal.
class SequenceEnergy : public testing::TestWithParam<std::array<int64_t, 3>> {};

TEST_P(SequenceEnergy, IsTheColumnSumsOfFisherSequence) {
  at::manual_seed(1);
  const auto [seq, out, in] = GetParam();
  const ptq::SiteBatch batch = ptq::test::random_batch(5, seq, out, in);
  const at::Tensor energy =
      ptq::test::collected("sequence-energy", {ptq::test::sequences_of(batch, 0, 2),
                                               ptq::test::sequences_of(batch, 2, 3)})
          .sum("sequence-energy");
  const at::Tensor exact = ptq::test::gradients64(batch).square().sum(0).sum(0);
  const at::Tensor size =
      ptq::test::gradients64({batch.x.abs(), batch.g.abs()}).square().sum(0).sum(0);
  // As many roundings as the longest chain of additions has, and a few products.
  const int64_t roundings = 2 * (seq + out + 10);
  EXPECT_TRUE(ptq::test::within(energy, exact, size, roundings));
  const at::Tensor fisher = ptq::test::collected("fisher-sequence", {batch})
                                .sum("fisher-sequence")
                                .sum(0, false, at::kDouble);
  EXPECT_TRUE(ptq::test::within(fisher, energy, size, 2 * roundings));
}

INSTANTIATE_TEST_SUITE_P(Shapes, SequenceEnergy,
                         testing::Values(std::array<int64_t, 3>{4, 150, 210},
                                         std::array<int64_t, 3>{90, 5, 9}));

}  // namespace
