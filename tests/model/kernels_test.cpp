// Every instruction set this machine runs, against float64.
#include "ptq/model/kernels.h"

#include <cmath>
#include <limits>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "../src/model/kernels/dispatch.h"
#include "ptq/model/linear.h"

namespace ptq {
namespace {

using kernels::Table;

constexpr double kEpsilon = 1.1920929e-7;  // of float32

class Kernels : public ::testing::TestWithParam<Table> {};

std::vector<float> panels_of(const Table& table, const at::Tensor& weight) {
  const int64_t out = weight.size(0), in = weight.size(1);
  std::vector<float> panels(static_cast<size_t>((out + table.panel) * in), NAN);
  table.pack(weight.data_ptr<float>(), in, out, in, panels.data());
  return panels;
}

/// y += x Wᵀ.
void add_product(const Table& table, const at::Tensor& x, const at::Tensor& w, at::Tensor& y) {
  const std::vector<float> panels = panels_of(table, w);
  kernels::Product product;
  product.a = x.data_ptr<float>();
  product.a_stride = product.depth = x.size(1);
  product.b = panels.data();
  product.panel_stride = product.depth * table.panel;
  product.c = y.data_ptr<float>();
  product.c_stride = product.columns = w.size(0);
  product.rows = x.size(0);
  product.add = true;
  table.multiply(product);
}

TEST_P(Kernels, ExpIsWithinTwoUlpOnItsRange) {
  const at::Tensor x = at::linspace(-87.2, 88.25, 200003, at::kFloat);
  const at::Tensor exact = x.to(at::kDouble).exp();
  at::Tensor y = x.clone();
  GetParam().exp(y.data_ptr<float>(), y.numel());
  EXPECT_LT(((y - exact) / exact).abs().max().item<double>(), 2 * kEpsilon);
}

TEST_P(Kernels, ExpOfExtremes) {
  const float infinity = std::numeric_limits<float>::infinity();
  std::vector<float> x = {0, -infinity, -1e30F, -200, NAN, -87.5F};
  GetParam().exp(x.data(), static_cast<int64_t>(x.size()));
  EXPECT_EQ(x[0], 1);
  EXPECT_EQ(x[1], 0);
  EXPECT_EQ(x[2], 0);
  EXPECT_EQ(x[3], 0);
  EXPECT_TRUE(std::isnan(x[4]));
  EXPECT_EQ(x[5], 0);
}

TEST_P(Kernels, ProductOfAnyShapeIsWithinTheBoundOfADotProduct) {
  const Table& table = GetParam();
  for (const auto& [rows, in, out] :
       {std::tuple<int64_t, int64_t, int64_t>{1, 1, 1}, {13, 7, 33}, {97, 65, 40}, {12, 32, 64}}) {
    const at::Tensor x = at::randn({rows, in}), w = at::randn({out, in});
    at::Tensor y = at::full({rows, out}, 0.5);
    add_product(table, x, w, y);
    const at::Tensor x64 = x.to(at::kDouble), w64 = w.to(at::kDouble);
    // |error| <= (in + 1) ε |x||w|, the bound of any order of summation (Higham, section 3.1).
    const at::Tensor bound =
        static_cast<double>(in + 1) * kEpsilon * (at::matmul(x64.abs(), w64.abs().t()) + 0.5);
    EXPECT_TRUE((y - at::matmul(x64, w64.t()) - 0.5).abs().le(bound).all().item<bool>())
        << rows << " " << in << " " << out;
  }
}

TEST_P(Kernels, BfloatPanelsEqualFloatPanels) {
  const Table& table = GetParam();
  const at::Tensor weight = at::randn({37, 21}).to(at::kBFloat16);
  std::vector<float> panels(static_cast<size_t>((37 + table.panel) * 21), 0);
  const void* data = weight.data_ptr<at::BFloat16>();
  table.pack_bf16(static_cast<const uint16_t*>(data), 21, 37, 21, panels.data());
  const std::vector<float> expected = panels_of(table, weight.to(at::kFloat));
  const auto used = static_cast<size_t>((37 + table.panel - 1) / table.panel * table.panel * 21);
  EXPECT_TRUE(std::equal(panels.begin(), panels.begin() + static_cast<std::ptrdiff_t>(used),
                         expected.begin()));
}

TEST_P(Kernels, RmsNormAndSiluMatchFloat64) {
  const at::Tensor x = at::randn({5, 43}) * 3, gain = at::randn({43}), up = at::randn({5, 43});
  at::Tensor y = at::empty_like(x);
  GetParam().rms_norm(x.data_ptr<float>(), gain.data_ptr<float>(), 1e-6F, 5, 43,
                      y.data_ptr<float>());
  const at::Tensor x64 = x.to(at::kDouble);
  const at::Tensor norm = x64 / at::sqrt((x64 * x64).mean(1, true) + 1e-6) * gain;
  // Three roundings.
  EXPECT_TRUE((y - norm).abs().le(3 * kEpsilon * norm.abs()).all().item<bool>());

  at::Tensor gate = x.clone();
  GetParam().silu_mul(gate.data_ptr<float>(), up.data_ptr<float>(), gate.numel());
  const at::Tensor silu = x64 / (1 + (-x64).exp()) * up;
  // e^x to 2 ulp and four roundings.
  EXPECT_TRUE((gate - silu).abs().le(6 * kEpsilon * silu.abs()).all().item<bool>());
}

TEST_P(Kernels, NllAndKlMatchFloat64) {
  for (const int64_t vocab : {1, 5, 64, 1000, 4099}) {
    const at::Tensor p = at::randn({3, vocab}) * 6, q = p + at::randn({3, vocab}) * 0.5;
    const at::Tensor log_p = at::log_softmax(p.to(at::kDouble), 1);
    const at::Tensor log_q = at::log_softmax(q.to(at::kDouble), 1);
    for (int64_t i = 0; i < 3; ++i) {
      const int64_t target = (i * 31) % vocab;
      const float* row = q.data_ptr<float>() + i * vocab;
      // e^x to 2 ulp, sums of 16 in float32, and logits up to 32 rounded once.
      EXPECT_NEAR(GetParam().row_nll(row, vocab, target), -log_q[i][target].item<double>(),
                  40 * kEpsilon);
      double kl = -1;
      uint8_t same = 2;
      GetParam().row_kl(p.data_ptr<float>() + i * vocab, row, vocab, &kl, &same);
      EXPECT_NEAR(kl, (log_p[i].exp() * (log_p[i] - log_q[i])).sum().item<double>(), 40 * kEpsilon);
      EXPECT_EQ(same != 0, log_p[i].argmax().item<int64_t>() == log_q[i].argmax().item<int64_t>());
      GetParam().row_kl(row, row, vocab, &kl, &same);
      EXPECT_EQ(kl, 0);
      EXPECT_EQ(same, 1);
    }
  }
}

TEST_P(Kernels, NllOfNanIsNan) {
  for (const float bad : {NAN, std::numeric_limits<float>::infinity()}) {
    std::vector<float> row(100, 0.25F);
    row[70] = bad;
    EXPECT_TRUE(std::isnan(GetParam().row_nll(row.data(), 100, 3)));
    double kl = 0;
    uint8_t same = 0;
    GetParam().row_kl(row.data(), row.data(), 100, &kl, &same);
    EXPECT_TRUE(std::isnan(kl));
  }
}

INSTANTIATE_TEST_SUITE_P(InstructionSet, Kernels, ::testing::ValuesIn(kernels::runnable_tables()),
                         [](const auto& table) {
                           std::string name = table.param.name;
                           name.erase(std::remove(name.begin(), name.end(), '-'), name.end());
                           return name;
                         });

TEST(Affine, FusedInstructionSetsGiveTheSameBits) {
  const at::Tensor x = at::randn({13, 70}), w = at::randn({45, 70});
  std::vector<at::Tensor> results;
  for (const Table& table : kernels::runnable_tables()) {
    if (table.panel == 8) continue;  // the baseline need not have fused multiply-add
    results.push_back(at::zeros({13, 45}));
    add_product(table, x, w, results.back());
    EXPECT_TRUE(at::equal(results.back(), results.front())) << table.name;
  }
}

TEST(Affine, LargeProductsAreBlockedInEveryDirection) {
  // More inputs than a depth block, more outputs than a packed block would be slow: the blocks'
  // edges are at 1024 inputs, 384 rows and some 100 outputs.
  const at::Tensor x = at::randn({390, 1030}), w = at::randn({203, 1030}), b = at::randn({203});
  const at::Tensor y = affine(x, w, b);
  const at::Tensor x64 = x.to(at::kDouble), w64 = w.to(at::kDouble);
  const at::Tensor bound = 1032 * kEpsilon * (at::matmul(x64.abs(), w64.abs().t()) + b.abs());
  EXPECT_TRUE((y - at::matmul(x64, w64.t()) - b).abs().le(bound).all().item<bool>());
}

TEST(Affine, IntoABufferEqualsAffine) {
  const at::Tensor x = at::randn({20, 33}), w = at::randn({50, 33});
  at::Tensor buffer = at::full({20, 60}, NAN);
  affine_into(x, w, buffer.narrow(1, 4, 50));
  EXPECT_TRUE(at::equal(buffer.narrow(1, 4, 50), affine(x, w)));
  EXPECT_TRUE(buffer.narrow(1, 0, 4).isnan().all().item<bool>());
  EXPECT_TRUE(buffer.narrow(1, 54, 6).isnan().all().item<bool>());
  EXPECT_THROW(affine_into(x, w, buffer), std::logic_error);
}

TEST(Loss, RefusesTargetsAndShapesThatDoNotFit) {
  const std::vector<float> logits(8, 0);
  const std::vector<int64_t> targets = {0, 4};
  double out[2];
  uint8_t same[2];
  EXPECT_THROW(nll_rows({logits.data(), 2, 4}, targets.data(), out), std::logic_error);
  EXPECT_THROW(kl_rows({logits.data(), 2, 4}, {logits.data(), 4, 2}, out, same), std::logic_error);
}

TEST(Loss, RowsMatchTheSingleRowKernels) {
  const at::Tensor p = at::randn({70, 130}), q = at::randn({70, 130});
  const at::Tensor targets = at::arange(70, at::kLong);
  std::vector<double> nll(70), kl(70);
  std::vector<uint8_t> same(70);
  nll_rows({p.data_ptr<float>(), 70, 130}, targets.data_ptr<int64_t>(), nll.data());
  kl_rows({p.data_ptr<float>(), 70, 130}, {q.data_ptr<float>(), 70, 130}, kl.data(), same.data());
  for (int64_t i = 0; i < 70; ++i) {
    double row_kl = 0;
    uint8_t row_same = 0;
    kernels::table().row_kl(p.data_ptr<float>() + i * 130, q.data_ptr<float>() + i * 130, 130,
                            &row_kl, &row_same);
    const auto at = static_cast<size_t>(i);
    EXPECT_EQ(nll[at], kernels::table().row_nll(p.data_ptr<float>() + i * 130, 130, i));
    EXPECT_EQ(kl[at], row_kl);
    EXPECT_EQ(same[at], row_same);
  }
}

}  // namespace
}  // namespace ptq
