#include "../src/quantizers/descent.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "objective_fixture.h"

namespace ptq {
namespace {

using quantizer::descend;
using quantizer::Improvement;

/// The best codes of one column with all others as they are, and what each row gains by them, by
/// trying all codes in float64.
struct BestColumn {
  at::Tensor codes;  ///< int64 [out]
  at::Tensor gain;   ///< float64 [out]
};

BestColumn best_of(const RoundedCase& made, const at::Tensor& gradient, const at::Tensor& h,
                   int64_t column) {
  const int64_t group = made.quantized.group_of[column].item<int64_t>();
  const at::Tensor scale = made.quantized.scale.select(1, group).to(at::kDouble);
  const at::Tensor old = made.quantized.q.select(1, column).to(at::kDouble);
  const at::Tensor codes = at::arange(1 << made.quantized.scheme.bits, at::kDouble);
  const at::Tensor moves = (codes.unsqueeze(0) - old.unsqueeze(1)) * scale.unsqueeze(1);
  const at::Tensor change = moves * (2 * gradient.select(1, column).unsqueeze(1) +
                                     moves * h[column][column].item<double>());
  const auto [least, index] = change.min(1);
  return {index, -least};
}

TEST(Descent, NoRowGetsWorseAndTheFallIsWhatIsReported) {
  at::manual_seed(1);
  // Groups that end within the block of 128 columns, cross it, and are wider.
  for (const QuantScheme& scheme : {QuantScheme{4, 16, true}, QuantScheme{3, 96, false},
                                    QuantScheme{2, 288, true}, QuantScheme{3, -1, true}}) {
    RoundedCase made(37, 288, scheme);
    const at::Tensor scale = made.quantized.scale.clone();
    at::Tensor before = made.errors();
    for (int pass = 0; pass < 3; ++pass) {
      const at::Tensor codes = made.quantized.q.clone();
      const Improvement improvement = descend(made.objective, made.quantized);
      const at::Tensor after = made.errors();
      EXPECT_TRUE(after.le(before * (1 + 1e-6)).all().item<bool>()) << scheme.name();
      const double total = before.sum().item<double>();
      EXPECT_NEAR(improvement.fall, total - after.sum().item<double>(), kErrorRounding * total);
      EXPECT_EQ(improvement.changed, codes.ne(made.quantized.q).sum().item<int64_t>());
      EXPECT_GT(improvement.fall, pass == 0 ? 0.1 * total : -1e-9) << scheme.name();
      before = after;
    }
    made.quantized.check();
    EXPECT_TRUE(at::equal(scale, made.quantized.scale));
  }
}

TEST(Descent, FollowsTheDescentInFloat64) {
  at::manual_seed(2);
  for (const bool symmetric : {true, false}) {
    RoundedCase made(48, 160, {3, 32, symmetric});
    RoundedCase slow = made;
    slow.quantized.q = made.quantized.q.clone();
    const at::Tensor h = made.hessian();
    for (int64_t column = 0; column < 160; ++column)
      slow.quantized.q.select(1, column).copy_(
          best_of(slow, slow.miss().mm(h), h, column).codes.to(at::kByte));
    descend(made.objective, made.quantized);
    // A tie to within float32's rounding, about one code in 1e5, may take the rest of its row
    // along.
    EXPECT_GE(made.quantized.q.eq(slow.quantized.q).all(1).sum().item<int64_t>(), 47);
  }
}

TEST(Descent, EndsWhereNoSingleCodeCanBeBetter) {
  at::manual_seed(3);
  RoundedCase made(24, 160, {3, 32, true});
  for (int pass = 0; pass < 100; ++pass)
    if (descend(made.objective, made.quantized).changed == 0) break;
  EXPECT_EQ(descend(made.objective, made.quantized).changed, 0);
  const at::Tensor h = made.hessian(), gradient = made.miss().mm(h), errors = made.errors();
  for (int64_t column = 0; column < 160; ++column)
    EXPECT_TRUE(best_of(made, gradient, h, column).gain.le(1e-5 * errors).all().item<bool>());
}

TEST(Descent, LeavesWhatLiesOnItsGrid) {
  at::manual_seed(4);
  RoundedCase made(16, 64, {4, 16, true});
  made.objective.weight = made.quantized.dequantize();
  EXPECT_EQ(descend(made.objective, made.quantized).changed, 0);
}

}  // namespace
}  // namespace ptq
