#include "ptq/calib/gram.h"

#include <limits>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace {

using ptq::Gram;

/// XᵀX in float64 and, entry by entry, the bound of a float32 sum of `n` products: n · eps ·
/// |X|ᵀ|X|.
struct Oracle {
  explicit Oracle(const at::Tensor& x) {
    const at::Tensor rows = x.reshape({-1, x.size(-1)}).to(at::kDouble);
    gram = rows.t().mm(rows);
    bound = rows.abs().t().mm(rows.abs()) * static_cast<double>(rows.size(0)) *
            std::numeric_limits<float>::epsilon();
  }
  at::Tensor gram, bound;
};

class GramOfWidth : public testing::TestWithParam<int64_t> {};

TEST_P(GramOfWidth, EqualsTheFullProductInFloat64) {
  at::manual_seed(1);
  const at::Tensor x = at::randn({3, 7, GetParam()});
  Gram gram(GetParam());
  gram.add(x.narrow(0, 0, 2));
  gram.add(x.narrow(0, 2, 1));
  gram.finish();
  const Oracle oracle(x);
  EXPECT_TRUE(
      ((gram.sum().to(at::kDouble) - oracle.gram).abs() <= oracle.bound).all().item<bool>());
  EXPECT_TRUE(gram.sum().equal(gram.sum().t()));
  EXPECT_EQ(gram.tokens(), 21);
}

// Around the leaf of 144 columns and odd halves of it, where the triangle is cut.
INSTANTIATE_TEST_SUITE_P(LeafEdges, GramOfWidth,
                         testing::Values(1, 5, 143, 144, 145, 289, 576, 1000));

TEST(Gram, TellsTheFirstPositionsShareOfTheDiagonal) {
  at::manual_seed(2);
  const at::Tensor x = at::randn({4, 5, 8});
  Gram gram(8);
  gram.add(x);
  gram.finish();
  const at::Tensor first = x.select(1, 0).to(at::kDouble).square().sum(0);
  EXPECT_TRUE(at::allclose(gram.first_position_diagonal(), first, 1e-12));
  Gram rest(8);
  rest.add(x.narrow(1, 1, 4));
  rest.finish();
  const at::Tensor whole = gram.sum().diagonal().to(at::kDouble);
  EXPECT_TRUE(at::allclose(whole, first + rest.sum().diagonal().to(at::kDouble), 1e-5));
}

}  // namespace
