#include <cmath>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "ptq/core/error.h"
#include "ptq/quantizers/quantizer.h"
#include "site_fixture.h"

namespace ptq {
namespace {

TEST(Rtn, NeedsNoCalibration) {
  EXPECT_TRUE(quantizers().make("rtn")->statistics().empty());
}

TEST(Rtn, EveryCodeIsTheNearest) {
  at::manual_seed(1);
  const auto rtn = quantizers().make("rtn");
  const at::Tensor weight = at::randn({8, 64});
  const TestSite site(weight, at::zeros({1, 1, 64}), *rtn);
  for (const bool symmetric : {true, false}) {
    const QuantizedTensor tensor = rtn->quantize(site.view(), {3, 32, symmetric}).weight;
    const at::Tensor scale = tensor.scale.repeat_interleave(32, 1);
    const at::Tensor zero = tensor.zero.repeat_interleave(32, 1).to(at::kFloat);
    const at::Tensor nearest = (weight / scale + zero).round().clamp(0, 7);
    EXPECT_TRUE(at::equal(nearest.to(at::kByte), tensor.q));
  }
}

TEST(Rtn, SearchedGridsHaveLessError) {
  at::manual_seed(2);
  const at::Tensor weight = at::randn({64, 128});
  const auto plain = quantizers().make("rtn"),
             searched = quantizers().make("rtn", {{"grid", "mse"}});
  const TestSite site(weight, at::zeros({1, 1, 128}), *plain);
  for (const bool symmetric : {true, false}) {
    const QuantScheme scheme{3, 64, symmetric};
    const double before = plain->quantize(site.view(), scheme).relative_error;
    const double after = searched->quantize(site.view(), scheme).relative_error;
    EXPECT_LT(after, 0.95 * before);
    EXPECT_GT(after, 0.5 * before);
  }
}

TEST(Rtn, ReportsTheErrorOfItsWeights) {
  at::manual_seed(3);
  const auto rtn = quantizers().make("rtn");
  const at::Tensor weight = at::randn({16, 64});
  const TestSite site(weight, at::zeros({1, 1, 64}), *rtn);
  const QuantizedSite result = rtn->quantize(site.view(at::kBFloat16), {4, 16, true});
  const at::Tensor miss = result.weight.dequantize() - weight;
  const double expected = (miss.square().sum() / weight.square().sum()).item<double>();
  EXPECT_NEAR(result.relative_error, expected, 1e-4 * expected);
  EXPECT_TRUE(result.fallbacks.empty());
}

TEST(Rtn, RefusesUnknownGridsAndOptions) {
  EXPECT_THROW(quantizers().make("rtn", {{"grid", "hessian"}}), ConfigError);
  EXPECT_THROW(quantizers().make("rtn", {{"damping", 0.1}}), ConfigError);
}

}  // namespace
}  // namespace ptq
