// The gradients of this library's kernels against autograd through the plain formulas in float64.
#include <functional>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "../src/model/attention.h"
#include "../src/model/row_ops.h"
#include "ptq/model/linear.h"

namespace ptq {
namespace {

using Tensors = std::vector<at::Tensor>;
using Formula = std::function<at::Tensor(const Tensors&)>;

/// d Σ(formula ∘ direction) / d inputs.
Tensors gradients(const Formula& formula, const Tensors& inputs, const at::Tensor& direction) {
  Tensors leaves;
  for (const at::Tensor& x : inputs)
    leaves.push_back(x.detach().clone().requires_grad_());
  (formula(leaves) * direction).sum().backward();
  Tensors result;
  for (const at::Tensor& leaf : leaves)
    result.push_back(leaf.grad());
  return result;
}

/// float32 inputs take the kernels, float64 the plain formula.  `bound` is relative to the largest
/// gradient of an input.
void expect_same(const Formula& formula, const Tensors& inputs, double bound) {
  at::Tensor direction;
  {
    const at::NoGradGuard unrecorded;
    Tensors copies;
    for (const at::Tensor& x : inputs)
      copies.push_back(x.clone());
    direction = at::randn(formula(copies).sizes());
  }
  Tensors wide;
  for (const at::Tensor& x : inputs)
    wide.push_back(x.to(at::kDouble));
  const Tensors expected = gradients(formula, wide, direction.to(at::kDouble));
  const Tensors actual = gradients(formula, inputs, direction);
  for (size_t i = 0; i < inputs.size(); ++i) {
    const double largest = expected[i].abs().max().item<double>();
    EXPECT_LE((actual[i].to(at::kDouble) - expected[i]).abs().max().item<double>(), bound * largest)
        << "input " << i;
  }
}

constexpr double kEps = 1.2e-7;

TEST(Recorded, AffineSendsTheGradientThroughTheWeight) {
  at::manual_seed(1);
  const at::Tensor w = at::randn({37, 50}), b = at::randn({37});
  // Sums of 37 products.
  expect_same([&](const Tensors& in) { return affine(in[0], w, b); }, {at::randn({3, 7, 50})},
              37 * kEps);
}

TEST(Recorded, ALinearCanLeaveOutTheValuesOfItsGradient) {
  at::manual_seed(5);
  const Linear linear({"a", "in", 0, 0, 37, 50}, at::randn({37, 50}), at::randn({37}));
  const at::Tensor x = at::randn({3, 7, 50}), direction = at::randn({3, 7, 37});
  EXPECT_TRUE(linear.forward_for_gradient(x).equal(linear.forward(x))) << "nothing is recorded";
  const auto whole = [&](const Tensors& in) { return linear.forward(in[0]); };
  const auto without = [&](const Tensors& in) {
    const at::Tensor y = linear.forward_for_gradient(in[0]);
    EXPECT_EQ(y.abs().max().item<float>(), 0);
    return y;
  };
  EXPECT_TRUE(gradients(whole, {x}, direction)[0].equal(gradients(without, {x}, direction)[0]));
}

TEST(Recorded, NormsAreDifferentiated) {
  at::manual_seed(2);
  const at::Tensor gain = at::randn({33}), head_gain = at::randn({11});
  // The mean of products is taken in float64: a few roundings of terms up to ten times the result.
  expect_same([&](const Tensors& in) { return rms_norm(in[0], gain, 1e-5); },
              {at::randn({2, 9, 33})}, 20 * kEps);
  expect_same([&](const Tensors& in) { return rms_norm_heads(in[0], head_gain, 1e-5); },
              {at::randn({2, 9, 33})}, 20 * kEps);
}

TEST(Recorded, SiluAndRotationAreDifferentiated) {
  at::manual_seed(3);
  expect_same([](const Tensors& in) { return silu_mul(in[0], in[1]); },
              {3 * at::randn({2, 5, 71}), at::randn({2, 5, 71})}, 20 * kEps);
  const at::Tensor angle = at::rand({6, 4}), cos = angle.cos(), sin = angle.sin();
  expect_same([&](const Tensors& in) { return rotate(in[0], cos, sin); }, {at::randn({2, 6, 24})},
              4 * kEps);
}

struct Case {
  AttentionShape shape;
  int64_t batch, seq;
};
class AttentionGradients : public ::testing::TestWithParam<Case> {};

TEST_P(AttentionGradients, EqualTheFormulas) {
  at::manual_seed(4);
  const auto& [shape, batch, seq] = GetParam();
  const int64_t q = shape.heads * shape.head_dim, kv = shape.kv_heads * shape.head_dim;
  // As in attention_test.cpp a score is off by 4·head_dim·eps, relatively a weight's error; the
  // gradient passes through two such weights.
  const double bound = 2 * 4 * static_cast<double>(shape.head_dim) * kEps * 8;
  expect_same(
      [&shape = shape](const Tensors& in) { return causal_attention(in[0], in[1], in[2], shape); },
      {at::randn({batch, seq, q}), at::randn({batch, seq, kv}), at::randn({batch, seq, kv})},
      bound);
}

// Around a tile of 96 queries and panels of 8 to 32 keys; windows shorter and longer than a tile.
INSTANTIATE_TEST_SUITE_P(Shapes, AttentionGradients,
                         ::testing::Values(Case{{1, 1, 2, 0}, 1, 2}, Case{{4, 4, 16, 0}, 2, 40},
                                           Case{{9, 3, 64, 0}, 1, 200}, Case{{6, 1, 24, 0}, 2, 97},
                                           Case{{2, 2, 80, 0}, 1, 193}, Case{{4, 2, 16, 1}, 1, 70},
                                           Case{{4, 2, 16, 16}, 2, 200},
                                           Case{{2, 1, 32, 150}, 1, 300}));

}  // namespace
}  // namespace ptq
