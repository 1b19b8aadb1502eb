#include "../src/quantizers/scale_refit.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "objective_fixture.h"

namespace ptq {
namespace {

using quantizer::Improvement;
using quantizer::refit_scales;

TEST(ScaleRefit, NoRowGetsWorseAndTheFallIsWhatIsReported) {
  at::manual_seed(1);
  for (const QuantScheme& scheme : {QuantScheme{4, 16, true}, QuantScheme{3, 64, false},
                                    QuantScheme{2, 192, true}, QuantScheme{3, -1, true}}) {
    RoundedCase made(37, 192, scheme);
    const at::Tensor codes = made.quantized.q.clone();
    at::Tensor before = made.errors();
    for (int pass = 0; pass < 4; ++pass) {
      const Improvement improvement = refit_scales(made.objective, at::kFloat, made.quantized);
      const at::Tensor after = made.errors();
      EXPECT_TRUE(after.le(before * (1 + 1e-7)).all().item<bool>()) << scheme.name();
      const double total = before.sum().item<double>();
      EXPECT_NEAR(improvement.fall, total - after.sum().item<double>(), kErrorRounding * total);
      EXPECT_GT(improvement.fall, pass == 0 ? 1e-3 * total : -1e-9) << scheme.name();
      before = after;
    }
    made.quantized.check();
    EXPECT_TRUE(at::equal(codes, made.quantized.q));
  }
}

TEST(ScaleRefit, AWholeRowGetsTheLeastSquaresScale) {
  at::manual_seed(2);
  RoundedCase made(24, 96, {3, -1, true});
  const at::Tensor b = made.quantized.q.to(at::kDouble) - 4, h = made.hessian();
  const at::Tensor bh = b.mm(h);
  const at::Tensor exact = (bh * made.objective.weight.to(at::kDouble)).sum(1) / (bh * b).sum(1);
  refit_scales(made.objective, at::kBFloat16, made.quantized);
  // Rounded to float16 and bfloat16: half a unit of 8 bits, and a 16th of that.
  const at::Tensor relative = made.quantized.scale.select(1, 0).to(at::kDouble) / exact - 1;
  EXPECT_LT(relative.abs().max().item<double>(), 0x1p-8);
}

TEST(ScaleRefit, ScalesAreWhatFilesHold) {
  at::manual_seed(3);
  for (const at::ScalarType dtype : {at::kHalf, at::kBFloat16}) {
    RoundedCase made(16, 64, {4, 16, true});
    made.quantized.scale = storable_scale(made.quantized.scale, dtype);
    EXPECT_GT(refit_scales(made.objective, dtype, made.quantized).changed, 0);
    EXPECT_TRUE(at::equal(made.quantized.scale, storable_scale(made.quantized.scale, dtype)));
  }
}

TEST(ScaleRefit, LeavesWhatCannotBeBetter) {
  at::manual_seed(4);
  RoundedCase exact(16, 64, {4, 16, true});
  exact.objective.weight = exact.quantized.dequantize();
  EXPECT_EQ(refit_scales(exact.objective, at::kFloat, exact.quantized).changed, 0);
  // No code but the zero point: no scale matters.
  RoundedCase blank(16, 64, {4, 16, true});
  blank.quantized.q.narrow(1, 16, 16).fill_(8);
  const at::Tensor before = blank.quantized.scale.select(1, 1).clone();
  refit_scales(blank.objective, at::kFloat, blank.quantized);
  EXPECT_TRUE(at::equal(before, blank.quantized.scale.select(1, 1)));
}

TEST(ScaleRefit, ScalesThatNoFileHoldsAreLeftOut) {
  at::manual_seed(5);
  RoundedCase made(8, 32, {4, -1, true});
  made.objective.weight.mul_(1e9);  // the best scale is beyond float16
  const at::Tensor before = made.quantized.scale.clone();
  EXPECT_EQ(refit_scales(made.objective, at::kFloat, made.quantized).changed, 0);
  EXPECT_TRUE(at::equal(before, made.quantized.scale));
}

}  // namespace
}  // namespace ptq
