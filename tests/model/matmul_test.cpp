#include "ptq/model/matmul.h"

#include <limits>
#include <stdexcept>
#include <tuple>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

namespace {

using ptq::add_transposed_product;
using ptq::Part;

constexpr double kEps = std::numeric_limits<float>::epsilon();

/// Entry by entry, a float32 sum of `n` products, each rounded twice, misses by at most
/// (n + 2)·eps·Σ|products|, whatever its order.
void expect_close(const at::Tensor& got, const at::Tensor& want, const at::Tensor& magnitude,
                  int64_t n) {
  const at::Tensor miss = (got.to(at::kDouble) - want).abs();
  EXPECT_TRUE((miss <= magnitude * (kEps * static_cast<double>(n + 2))).all().item<bool>())
      << "worst miss " << miss.max().item<double>();
}

class Shapes : public testing::TestWithParam<std::tuple<int64_t, int64_t, int64_t>> {};

TEST_P(Shapes, ProductEqualsFloat64) {
  const auto [depth, rows, columns] = GetParam();
  at::manual_seed(1);
  // Views: rows are contiguous, but not the matrix.
  const at::Tensor a = at::randn({rows, depth + 3}).narrow(1, 2, depth);
  const at::Tensor b = at::randn({depth, columns + 5}).narrow(1, 1, columns);
  const at::Tensor wide_a = a.to(at::kDouble), wide_b = b.to(at::kDouble);
  expect_close(ptq::matrix_product(a, b), wide_a.mm(wide_b), wide_a.abs().mm(wide_b.abs()), depth);
}

TEST_P(Shapes, TransposedProductIsAddedToTheSum) {
  const auto [tokens, m, n] = GetParam();
  at::manual_seed(2);
  const at::Tensor a = at::randn({tokens, m + 3}).narrow(1, 2, m);
  const at::Tensor b = at::randn({tokens, n + 5}).narrow(1, 1, n);
  const at::Tensor weights = at::rand({tokens}) - 0.5;
  const at::Tensor start = at::randn({m, n + 1});
  const at::Tensor sum = start.clone();
  add_transposed_product(a, b, weights, Part::kWhole, sum.narrow(1, 0, n));
  const at::Tensor left = a.to(at::kDouble) * weights.to(at::kDouble).unsqueeze(1);
  const at::Tensor before = start.narrow(1, 0, n).to(at::kDouble), right = b.to(at::kDouble);
  expect_close(sum.narrow(1, 0, n), before + left.t().mm(right),
               before.abs() + left.abs().t().mm(right.abs()), tokens + 1);
  EXPECT_TRUE(sum.select(1, n).equal(start.select(1, n)));
}

TEST_P(Shapes, SquaredProductIsAddedToTheSum) {
  const auto [tokens, m, n] = GetParam();
  at::manual_seed(4);
  const at::Tensor a = at::randn({tokens, m + 3}).narrow(1, 2, m);
  const at::Tensor b = at::randn({tokens, n + 5}).narrow(1, 1, n);
  const at::Tensor start = at::rand({m, n + 1}), columns = at::ones({n}, at::kDouble);
  const at::Tensor sum = start.clone();
  ptq::add_squared_product(a, b, sum.narrow(1, 0, n));
  ptq::add_squared_product_columns(a, b, columns);
  const at::Tensor left = a.to(at::kDouble), right = b.to(at::kDouble);
  const at::Tensor exact = left.t().mm(right).square();
  // The square of a product that is off by a part of |A|ᵀ|B| is off by twice that part of its
  // square.
  const at::Tensor size = left.abs().t().mm(right.abs()).square();
  const at::Tensor before = start.narrow(1, 0, n).to(at::kDouble);
  expect_close(sum.narrow(1, 0, n), before + exact, before + size, 2 * tokens + 4);
  EXPECT_TRUE(sum.select(1, n).equal(start.select(1, n)));
  expect_close(columns, 1 + exact.sum(0), 1 + size.sum(0), 2 * tokens + 4);
}

TEST_P(Shapes, UpperPartHasTheBitsOfTheWhole) {
  const auto [tokens, m, n] = GetParam();
  at::manual_seed(3);
  const at::Tensor x = at::randn({tokens, n});
  const at::Tensor whole = at::zeros({n, n}), upper = at::zeros({n, n});
  add_transposed_product(x, x, {}, Part::kWhole, whole);
  add_transposed_product(x, x, {}, Part::kUpper, upper);
  EXPECT_TRUE(upper.triu().equal(whole.triu()));
}

// Around the panels (12 and 32 with AVX-512), a task's tile (96 x 192) and a block of tokens (512).
INSTANTIATE_TEST_SUITE_P(Edges, Shapes,
                         testing::Values(std::make_tuple(1, 1, 1), std::make_tuple(3, 12, 32),
                                         std::make_tuple(511, 13, 33),
                                         std::make_tuple(513, 97, 193),
                                         std::make_tuple(1030, 288, 576)));

TEST(TransposedProduct, LeavesHalfOfTheWorkOut) {
  const at::Tensor x = at::ones({4, 960}), sum = at::zeros({960, 960});
  add_transposed_product(x, x, {}, Part::kUpper, sum);
  // Below the diagonal only what shares a tile of at most 12 x 32 with it: 44 / 2 rows a column.
  EXPECT_LE(sum.tril(-1).gt(0).sum().item<double>(), 960.0 * 22);
}

TEST(TransposedProduct, HasTheSameBitsForAnyNumberOfThreads) {
  at::manual_seed(4);
  const at::Tensor x = at::randn({700, 400});
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const at::Tensor one = at::zeros({400, 400});
  add_transposed_product(x, x, {}, Part::kUpper, one);
  at::set_num_threads(3);
  const at::Tensor three = at::zeros({400, 400});
  add_transposed_product(x, x, {}, Part::kUpper, three);
  at::set_num_threads(threads);
  EXPECT_TRUE(one.equal(three));
}

TEST(TransposedProduct, SlowIsRightBeyondTheWidthThatIsPackedAtOnce) {
  at::manual_seed(5);
  const at::Tensor x = at::randn({2, 8200}), sum = at::zeros({8200, 8200});
  add_transposed_product(x, x, {}, Part::kUpper, sum);
  // Two products a sum, each rounded.
  const at::Tensor miss = (sum - x.t().mm(x)).triu_().abs_();
  EXPECT_LE(miss.max().item<double>(), 4 * kEps * x.square().max().item<double>());
}

TEST(MatrixProduct, OfBfloat16IsThatOfItsValues) {
  at::manual_seed(6);
  const at::Tensor a = at::randn({5, 70}), b = at::randn({70, 45}).to(at::kBFloat16);
  EXPECT_TRUE(ptq::matrix_product(a, b).equal(ptq::matrix_product(a, b.to(at::kFloat))));
}

TEST(MatrixProduct, OverNothingIsZero) {
  EXPECT_TRUE(ptq::matrix_product(at::ones({3, 0}), at::ones({0, 4})).equal(at::zeros({3, 4})));
}

TEST(MatrixProduct, RefusesWhatDoesNotFit) {
  const at::Tensor a = at::ones({3, 4});
  EXPECT_THROW(ptq::matrix_product(a, a), std::logic_error);
  EXPECT_THROW(ptq::matrix_product(a.to(at::kDouble), at::ones({4, 2})), std::logic_error);
  EXPECT_THROW(ptq::matmul_transposed_into(a, at::ones({2, 4}), at::ones({2, 3}).t()),
               std::logic_error);
  EXPECT_THROW(add_transposed_product(a.t(), a, {}, Part::kWhole, at::zeros({3, 4})),
               std::logic_error);
}

}  // namespace
