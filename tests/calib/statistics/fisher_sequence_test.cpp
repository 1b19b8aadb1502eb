#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "batch.h"

namespace {

TEST(FisherSequence, SumsSquaredGradientsOfSequences) {
  at::manual_seed(1);
  const ptq::SiteBatch batch = ptq::test::random_batch(5, 21, 130, 210);
  const at::Tensor fisher =
      ptq::test::collected("fisher-sequence", {ptq::test::sequences_of(batch, 0, 2),
                                               ptq::test::sequences_of(batch, 2, 3)})
          .sum("fisher-sequence");
  const at::Tensor exact = ptq::test::gradients64(batch).square().sum(0);
  // A gradient is off by 22 roundings of Σ|g x|, which is v here: its square by 2 |v| of that.
  const at::Tensor size = ptq::test::gradients64({batch.x.abs(), batch.g.abs()}).square().sum(0);
  EXPECT_TRUE(ptq::test::within(fisher, exact, size, 2 * 22 + 1 + 5));
}

// Identity (b) of one-token sequences: the token is the sample.
TEST(FisherSequence, OfOneTokenSequencesIsFisherToken) {
  at::manual_seed(2);
  const ptq::SiteBatch batch = ptq::test::random_batch(12, 1, 5, 9);
  const at::Tensor sequence =
      ptq::test::collected("fisher-sequence", {batch}).sum("fisher-sequence");
  const at::Tensor token = ptq::test::collected("fisher-token", {batch}).sum("fisher-token");
  EXPECT_TRUE(ptq::test::within(sequence, token.to(at::kDouble), token.to(at::kDouble), 3 + 24));
}

TEST(FisherSequence, BatchesDoNotMixSequences) {
  at::manual_seed(3);
  const ptq::SiteBatch batch = ptq::test::random_batch(4, 6, 5, 9);
  std::vector<ptq::SiteBatch> single;
  for (int64_t s = 0; s < 4; ++s)
    single.push_back(ptq::test::sequences_of(batch, s, 1));
  EXPECT_TRUE(ptq::test::collected("fisher-sequence", {batch})
                  .sum("fisher-sequence")
                  .equal(ptq::test::collected("fisher-sequence", single).sum("fisher-sequence")));
}

}  // namespace
