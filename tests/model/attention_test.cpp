// The blocked attention of every instruction set against the differentiable formula in float64.
#include "../src/model/attention.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "../src/model/rope.h"
#include "../src/model/row_ops.h"

namespace ptq {
namespace {

struct Case {
  AttentionShape shape;
  int64_t batch, seq;
};

class Attention : public ::testing::TestWithParam<Case> {};

TEST_P(Attention, BlockedEqualsTheFormula) {
  const auto& [shape, batch, seq] = GetParam();
  const at::Tensor q = 2 * at::randn({batch, seq, shape.heads * shape.head_dim});
  const at::Tensor k = 2 * at::randn({batch, seq, shape.kv_heads * shape.head_dim});
  const at::Tensor v = at::randn({batch, seq, shape.kv_heads * shape.head_dim});
  // float64 inputs take the plain operations.
  const at::Tensor expected =
      causal_attention(q.to(at::kDouble), k.to(at::kDouble), v.to(at::kDouble), shape);
  const at::Tensor actual = causal_attention(q.clone(), k, v, shape);
  // A score is a dot product of head_dim terms, below 4·head_dim in size; its error becomes a
  // relative one of the weight.  The sums over keys average.
  const double bound = 4 * static_cast<double>(shape.head_dim) * 1.2e-7 * 8;
  EXPECT_LT((actual - expected).abs().max().item<double>(), bound);
}

INSTANTIATE_TEST_SUITE_P(Shapes, Attention,
                         ::testing::Values(Case{{1, 1, 2, 0}, 1, 1}, Case{{4, 4, 16, 0}, 2, 40},
                                           Case{{9, 3, 64, 0}, 1, 300}, Case{{6, 1, 24, 0}, 2, 257},
                                           Case{{2, 2, 80, 0}, 1, 530}, Case{{128, 1, 8, 0}, 1, 20},
                                           Case{{4, 2, 16, 1}, 1, 70}, Case{{4, 2, 16, 16}, 2, 100},
                                           Case{{2, 1, 32, 255}, 1, 700},
                                           Case{{2, 1, 32, 257}, 1, 700}));

TEST(Rope, TurnsByTheAngleOfThePosition) {
  RopeConfig config;
  config.theta = 100;
  const RopeTable table(config, 4);
  const auto [cos, sin] = table.rows(3, at::kCPU);
  const at::Tensor x = at::tensor({1.0F, 0.0F, 0.0F, 2.0F}).reshape({1, 1, 4}).repeat({1, 3, 1});
  const at::Tensor y = rotate(x.clone(), cos, sin);
  for (int64_t t = 0; t < 3; ++t) {
    // Pairs (0, 2) and (1, 3) with frequencies 1 and 1/10.
    const double a = static_cast<double>(t), b = static_cast<double>(t) / 10;
    const double expected[4] = {std::cos(a), -2 * std::sin(b), std::sin(a), 2 * std::cos(b)};
    for (int64_t i = 0; i < 4; ++i)
      EXPECT_NEAR(y[0][t][i].item<double>(), expected[i], 3e-7);
  }
}

TEST(Rope, TableGrowsAndKeepsItsRows) {
  const RopeTable table(RopeConfig{}, 8);
  const at::Tensor few = table.rows(5, at::kCPU).first.clone();
  EXPECT_TRUE(at::equal(table.rows(50, at::kCPU).first.narrow(0, 0, 5), few));
  EXPECT_EQ(table.rows(7, at::kCPU).second.size(0), 7);
}

TEST(Rope, Llama3KeepsShortWavesAndStretchesLongOnes) {
  RopeConfig config;
  config.type = "llama3";
  config.theta = 500000;
  config.factor = 8;
  config.original_max_positions = 8192;
  const std::vector<double> plain = rope_frequencies({"default", 500000}, 128);
  const std::vector<double> scaled = rope_frequencies(config, 128);
  EXPECT_EQ(scaled.front(), plain.front());
  EXPECT_EQ(scaled.back(), plain.back() / 8);
  for (size_t i = 1; i < scaled.size(); ++i) {
    EXPECT_LT(scaled[i], scaled[i - 1]);
    EXPECT_GE(scaled[i], plain[i] / 8);
    EXPECT_LE(scaled[i], plain[i]);
  }
}

}  // namespace
}  // namespace ptq
