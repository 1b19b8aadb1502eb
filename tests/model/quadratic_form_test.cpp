#include "ptq/model/quadratic_form.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace ptq {
namespace {

TEST(QuadraticForm, EqualsTheTraceOfTheWholeProduct) {
  at::manual_seed(7);
  for (const int64_t in : {5, 256, 300, 700}) {  // below, at and above the width of a part
    const at::Tensor a = at::randn({9, in}), x = at::randn({40, in});
    const at::Tensor h = at::matmul(x.t(), x);
    const at::Tensor a64 = a.to(at::kDouble), h64 = h.to(at::kDouble);
    const double expected = (at::matmul(a64, h64) * a64).sum().item<double>();
    // Each of the sums over `in` terms loses at most in · 2^-24 of its terms' magnitudes.
    const double terms = (at::matmul(a64.abs(), h64.abs()) * a64.abs()).sum().item<double>();
    EXPECT_NEAR(quadratic_form(a, h), expected, terms * static_cast<double>(in + 2) * 0x1p-24);
  }
}

}  // namespace
}  // namespace ptq
