#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "batch.h"

namespace {

TEST(MeanSquare, IsTheDiagonalOfGram) {
  at::manual_seed(1);
  const at::Tensor x = ptq::test::random_batch(3, 37, 1, 300).x;
  const at::Tensor sum = ptq::test::collected("mean-square", {{x, {}}}).sum("mean-square");
  const at::Tensor exact = ptq::test::rows64(x).square().sum(0);
  EXPECT_TRUE(ptq::test::within(sum, exact, exact, 10));
  const at::Tensor gram = ptq::test::collected("gram", {{x, {}}}).sum("gram");
  EXPECT_TRUE(ptq::test::within(gram.diagonal(), sum, exact, 10 + 3 * 37 + 1));
}

TEST(MeanSquare, StaysExactOverManyTokens) {
  // Where one float32 sum would stand still: 2^24 + 1 is 2^24.
  at::Tensor x = at::ones({1, 4001, 3});
  x.select(1, 0).fill_(4096.0F);
  const at::Tensor sum = ptq::test::collected("mean-square", {{x, {}}, {x, {}}}).sum("mean-square");
  const at::Tensor exact = at::full({3}, 2 * (4096.0 * 4096 + 4000), at::kDouble);
  EXPECT_TRUE(ptq::test::within(sum, exact, exact, 10));
}

}  // namespace
