// Inputs that leave little to solve with: dead columns, matrices without a factor, tiny and huge
// values; and what is kept and taken for the factor.
#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "gptq_fixture.h"
#include "support/allocation_meter.h"

namespace ptq {
namespace {

TEST(Gptq, TheLastRowsAreSolvedLikeTheFirst) {
  at::manual_seed(6);
  const at::Tensor row = at::randn({1, 48}), inputs = correlated_inputs(2, 100, 48);
  const at::Tensor q = quantize(row.repeat({37, 1}), inputs).weight.q;
  EXPECT_TRUE(at::equal(q, q.narrow(0, 0, 1).expand_as(q)));
}

TEST(Gptq, DeadColumnsAreRoundedToNearestAndCounted) {
  at::manual_seed(7);
  const at::Tensor weight = at::randn({16, 64});
  at::Tensor inputs = correlated_inputs(2, 100, 64);
  inputs.select(-1, 5).zero_();
  inputs.select(-1, 40).zero_();
  for (const char* order : {"none", "activation", "group-aware"})
    for (const double damping : {0.0, 0.01}) {
      const QuantizedSite result =
          quantize(weight, inputs, {{"order", order}, {"damping", damping}});
      EXPECT_EQ(result.details.at("dead_columns"), 2);
      EXPECT_TRUE(result.fallbacks.empty());
      const at::Tensor scale = result.weight.scale.select(1, 2);
      const at::Tensor nearest = (weight.select(1, 40) / scale).round().add(8).clamp(0, 15);
      EXPECT_TRUE(at::equal(nearest.to(at::kByte), result.weight.q.select(1, 40)));
    }
}

TEST(Gptq, HardInputsGiveFiniteResultsNoWorseThanRoundToNearest) {
  at::manual_seed(8);
  const at::Tensor weight = at::randn({32, 96});
  const at::Tensor usual = correlated_inputs(4, 64, 96);
  at::Tensor sink = usual.clone();
  sink.select(1, 0).mul_(0).add_(1e-3).select(-1, 7).fill_(1e5);
  const std::pair<const char*, at::Tensor> cases[] = {
      {"constant", at::ones({4, 64, 96})},
      {"rank deficient", usual.narrow(0, 0, 1).narrow(1, 0, 20)},
      {"sink", sink},
      {"tiny", usual * 1e-15},
      {"huge", usual * 1e12}};
  const auto rtn = quantizers().make("rtn");
  for (const auto& [name, inputs] : cases) {
    const QuantizedSite result = quantize(weight, inputs);
    EXPECT_TRUE(std::isfinite(result.relative_error)) << name;
    EXPECT_TRUE(result.fallbacks.empty()) << name << ": " << result.fallbacks.front();
    const TestSite site(weight, inputs, *rtn);
    EXPECT_LT(output_error(result.weight, weight, inputs),
              output_error(rtn->quantize(site.view(), kScheme).weight, weight, inputs))
        << name;
  }
}

TEST(Gptq, RaisedDampingIsRecorded) {
  at::manual_seed(9);
  const auto gptq = quantizers().make("gptq");
  const at::Tensor weight = at::randn({4, 16});
  const TestSite site(weight, at::randn({2, 32, 16}), *gptq);
  at::Tensor h = site.stats().sum("gram");
  h.copy_(at::eye(16));
  h[0][1] = h[1][0] = 1.05;  // smallest eigenvalue -0.05: 0.01 is too little, 0.1 enough
  const QuantizedSite result = gptq->quantize(site.view(), kScheme);
  ASSERT_EQ(result.fallbacks.size(), 1U);
  EXPECT_NE(result.fallbacks[0].find("damping raised from 0.01 to 0.1"), std::string::npos);
  EXPECT_NEAR(result.details.at("damping").get<double>(), 0.1, 1e-9);
}

TEST(Gptq, WithoutAFactorRoundsToNearestAndSaysSo) {
  at::manual_seed(10);
  const at::Tensor weight = at::randn({4, 16});
  const auto gptq = quantizers().make("gptq"), rtn = quantizers().make("rtn", {{"grid", "mse"}});
  const at::Tensor usual = at::randn({2, 32, 16});
  at::Tensor with_nan = usual.clone();
  with_nan[0][3][4] = std::numeric_limits<float>::quiet_NaN();
  for (const at::Tensor& inputs : {with_nan, at::zeros_like(usual), usual}) {
    const TestSite site(weight, inputs, *gptq);
    if (inputs.is_same(usual)) {
      at::Tensor h = site.stats().sum("gram");
      h.copy_(at::eye(16));
      h[0][1] = h[1][0] = 3.0;  // no damping up to the largest diagonal element helps
    }
    const QuantizedSite result = gptq->quantize(site.view(), kScheme);
    ASSERT_FALSE(result.fallbacks.empty());
    EXPECT_NE(result.fallbacks.back().find("rounded to nearest"), std::string::npos);
    EXPECT_TRUE(at::equal(result.weight.q, rtn->quantize(site.view(), kScheme).weight.q));
  }
}

TEST(Gptq, NearlySingularHessiansAreFactoredInFloat64) {
  at::manual_seed(11);
  // Columns that differ by 1e-3: eigenvalues of 1e-6 beside 1e2 drown in float32 noise.
  const at::Tensor base = at::randn({1, 400, 1}).expand({1, 400, 64});
  const at::Tensor inputs = base + 1e-4 * at::randn({1, 400, 64});
  const QuantizedSite result = quantize(at::randn({8, 64}), inputs, {{"damping", 1e-8}});
  EXPECT_TRUE(result.details.at("float64").get<bool>() || !result.fallbacks.empty());
  EXPECT_TRUE(std::isfinite(result.relative_error));
}

TEST(Gptq, WorkspaceIsWhatTheRetryInFloat64Takes) {
  at::manual_seed(13);
  const int64_t in = 256;
  const auto gptq = quantizers().make("gptq", {{"damping", 0.0}});
  const TestSite site(at::randn({8, in}), at::randn({1, in, in}), *gptq);
  // Pivots of about 2⁻¹⁸ of the diagonal: below what float32 is trusted with, in · 2⁻²⁴.
  at::Tensor gram = site.stats().sum("gram");
  gram.copy_(at::ones({in, in}) + 0x1p-18 * at::eye(in));
  const test::AllocationMeter meter;
  ASSERT_TRUE(gptq->quantize(site.view(), kScheme).details.at("float64").get<bool>());
  const double share = static_cast<double>(meter.peak_bytes()) /
                       static_cast<double>(gptq->workspace_bytes(site.view().site));
  // Vectors, a hundredth of the matrices at this size, may come on top.
  EXPECT_LT(share, 1.02);
  EXPECT_GT(share, 0.98);
}

TEST(Gptq, SitesWithOneInputShareItsFactor) {
  at::manual_seed(12);
  const auto gptq = quantizers().make("gptq");
  const TestSite site(at::randn({4, 16}), at::randn({2, 32, 16}), *gptq);
  const QuantizedSite before = gptq->quantize(site.view(), kScheme);
  site.stats().sum("gram").fill_(std::numeric_limits<float>::quiet_NaN());
  const QuantizedSite after = gptq->quantize(site.view(), kScheme);
  EXPECT_TRUE(at::equal(before.weight.q, after.weight.q));
}

TEST(Gptq, SitesWithOneInputAndOtherGroupsHaveOrdersOfTheirOwn) {
  at::manual_seed(16);
  const auto gptq = quantizers().make("gptq", {{"order", "group-aware"}});
  const at::Tensor weight = at::randn({16, 64}), inputs = correlated_inputs(2, 100, 64);
  const TestSite both(weight, inputs, *gptq), alone(weight, inputs, *gptq);
  gptq->quantize(both.view(), {4, 32, true});
  const at::Tensor second = gptq->quantize(both.view(), kScheme).weight.q;
  EXPECT_TRUE(at::equal(second, gptq->quantize(alone.view(), kScheme).weight.q));
}

TEST(Gptq, WarnsOfTooFewTokens) {
  const auto gptq = quantizers().make("gptq");
  EXPECT_TRUE(gptq->data_warning(575, 576).has_value());
  EXPECT_FALSE(gptq->data_warning(576, 576).has_value());
}

}  // namespace
}  // namespace ptq
