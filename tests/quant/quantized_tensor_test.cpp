#include "ptq/quant/quantized_tensor.h"

#include <cmath>
#include <functional>
#include <stdexcept>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "ptq/core/error.h"

namespace ptq {
namespace {

QuantizedTensor random_weight(const QuantScheme& scheme, int64_t out, int64_t in) {
  const int64_t groups = scheme.groups(in);
  const int levels = 1 << scheme.bits;
  QuantizedTensor weight;
  weight.scheme = scheme;
  weight.q = at::randint(0, levels, {out, in}, at::kByte);
  weight.scale = storable_scale(at::randn({out, groups}), at::kFloat);
  weight.zero = scheme.symmetric ? at::full({out, groups}, levels / 2, at::kByte)
                                 : at::randint(0, levels, {out, groups}, at::kByte);
  weight.group_of = contiguous_groups(scheme, in);
  return weight;
}

// The formula of the header in float64.
at::Tensor formula(const QuantizedTensor& w) {
  const at::Tensor group = w.group_of.to(at::kLong);
  return w.scale.to(at::kDouble).index_select(1, group) *
         (w.q.to(at::kDouble) - w.zero.to(at::kDouble).index_select(1, group));
}

// q − zero is exact, so the product is the one rounding: the float32 nearest to the exact value.
TEST(QuantizedTensor, DequantizesToTheNearestFloatOfTheFormula) {
  at::manual_seed(1);
  for (const QuantScheme& scheme : {QuantScheme{4, 32, true}, QuantScheme{3, 8, false},
                                    QuantScheme{8, -1, false}, QuantScheme{2, 48, true}}) {
    const QuantizedTensor weight = random_weight(scheme, 7, 100);
    EXPECT_TRUE(weight.dequantize().equal(formula(weight).to(at::kFloat))) << scheme.name();
  }
}

TEST(QuantizedTensor, DequantizesActivationOrderedGroups) {
  at::manual_seed(2);
  QuantizedTensor weight = random_weight({4, 16, false}, 5, 64);
  weight.group_of = weight.group_of.index_select(0, at::randperm(64));
  EXPECT_NO_THROW(weight.check());
  EXPECT_TRUE(weight.dequantize().equal(formula(weight).to(at::kFloat)));
  // Runs of the right length, but not in order.
  weight.group_of = 3 - contiguous_groups({4, 16, false}, 64);
  EXPECT_TRUE(weight.dequantize().equal(formula(weight).to(at::kFloat)));
}

TEST(QuantizedTensor, CheckAcceptsWhatIsDocumented) {
  at::manual_seed(3);
  EXPECT_NO_THROW(random_weight({4, 32, true}, 6, 96).check());
  EXPECT_NO_THROW(random_weight({3, -1, false}, 6, 97).check());
}

TEST(QuantizedTensor, CheckRefusesEachFault) {
  at::manual_seed(4);
  const QuantizedTensor good = random_weight({3, 32, false}, 4, 64);
  const auto refuses = [&](const std::function<void(QuantizedTensor&)>& spoil) {
    QuantizedTensor bad = good;
    spoil(bad);
    EXPECT_THROW(bad.check(), std::logic_error);
  };
  refuses([](QuantizedTensor& w) { w.q = w.q.to(at::kInt); });
  refuses([](QuantizedTensor& w) { (w.q = w.q.clone()).select(1, 5).fill_(8); });
  refuses([](QuantizedTensor& w) { w.zero = at::full_like(w.zero, 8); });
  refuses([](QuantizedTensor& w) { w.zero = w.zero.narrow(1, 0, 1); });
  refuses([](QuantizedTensor& w) { w.scale = at::zeros_like(w.scale); });
  refuses([](QuantizedTensor& w) { w.scale = w.scale * std::nan(""); });
  refuses([](QuantizedTensor& w) { w.scale = w.scale.narrow(0, 0, 3); });
  refuses([](QuantizedTensor& w) { w.group_of = w.group_of + 1; });
  refuses([](QuantizedTensor& w) { w.group_of = w.group_of - 1; });
  refuses([](QuantizedTensor& w) { w.group_of = w.group_of.narrow(0, 0, 63); });
  refuses([](QuantizedTensor& w) { w.scheme.symmetric = true; });
}

QuantizedTensor random_lookup(int bits, int64_t out, int64_t in) {
  QuantizedTensor weight;
  weight.scheme = {bits, -1, true, true};
  weight.q = at::randint(0, 1 << bits, {out, in}, at::kByte);
  weight.table = storable_entries(std::get<0>(at::randn({out, 1 << bits}).sort(1)));
  weight.group_of = contiguous_groups(weight.scheme, in);
  return weight;
}

TEST(QuantizedTensor, LooksEveryCodeUpInItsRow) {
  at::manual_seed(6);
  for (const int bits : {2, 3, 4, 8}) {
    QuantizedTensor weight = random_lookup(bits, 7, 100);
    EXPECT_NO_THROW(weight.check());
    EXPECT_TRUE(weight.dequantize().equal(weight.table.gather(1, weight.q.to(at::kLong))));
    weight.q = weight.q.t().contiguous().t();  // strides of any kind
    EXPECT_TRUE(weight.dequantize().equal(weight.table.gather(1, weight.q.to(at::kLong))));
  }
}

TEST(QuantizedTensor, CheckRefusesEachFaultOfATable) {
  at::manual_seed(7);
  const QuantizedTensor good = random_lookup(3, 4, 64);
  const auto refuses = [&](const std::function<void(QuantizedTensor&)>& spoil) {
    QuantizedTensor bad = good;
    spoil(bad);
    EXPECT_THROW(bad.check(), std::logic_error);
  };
  EXPECT_NO_THROW(good.check());
  refuses([](QuantizedTensor& w) { w.table = at::Tensor(); });
  refuses([](QuantizedTensor& w) { w.table = w.table.to(at::kHalf); });
  refuses([](QuantizedTensor& w) { w.table = w.table.narrow(1, 0, 7); });
  refuses([](QuantizedTensor& w) { w.table = w.table.narrow(0, 0, 3); });
  refuses([](QuantizedTensor& w) { (w.table = w.table.clone())[1][7] = INFINITY; });
  refuses([](QuantizedTensor& w) { w.table = w.table.flip(1); });
  refuses([](QuantizedTensor& w) { w.scale = at::ones({4, 1}); });
  refuses([](QuantizedTensor& w) { w.zero = at::full({4, 1}, 4, at::kByte); });
  refuses([](QuantizedTensor& w) { (w.q = w.q.clone())[0][0] = 8; });
  refuses([](QuantizedTensor& w) { w.group_of = w.group_of + 1; });
  refuses([](QuantizedTensor& w) { w.group_of = w.group_of.to(at::kLong); });
  QuantizedTensor grid = random_weight({3, 32, true}, 4, 64);
  grid.table = good.table;
  EXPECT_THROW(grid.check(), std::logic_error);
}

TEST(StorableEntries, AreFloat16WithoutNegativeZero) {
  at::manual_seed(8);
  const at::Tensor values = at::randn({1000}) * at::pow(2.0, at::randn({1000}) * 8).clamp_max(8192);
  const at::Tensor stored = storable_entries(values);
  EXPECT_TRUE(stored.equal(values.to(at::kHalf).to(at::kFloat)));
  EXPECT_TRUE(storable_entries(stored).equal(stored));
  const at::Tensor zeros = storable_entries(at::tensor({-0.0f, -1e-30f, 0.0f}));
  EXPECT_FALSE(zeros.signbit().any().item<bool>());
  EXPECT_TRUE(zeros.eq(0).all().item<bool>());
}

TEST(StorableEntries, RefusesWhatFloat16CannotHold) {
  EXPECT_NO_THROW(storable_entries(at::tensor({65504.0f})));
  EXPECT_THROW(storable_entries(at::tensor({1.0f, -65536.0f})), NumericalError);
  EXPECT_THROW(storable_entries(at::tensor({std::nanf("")})), NumericalError);
}

TEST(StorableScale, IsExactInEveryFormatAndIdempotent) {
  at::manual_seed(5);
  const at::Tensor scale = at::randn({1000}) * at::pow(2.0, at::randn({1000}) * 8).clamp_max(8192);
  for (const at::ScalarType dtype : {at::kFloat, at::kHalf, at::kBFloat16}) {
    const at::Tensor stored = storable_scale(scale, dtype);
    EXPECT_TRUE(stored.to(at::kHalf).to(at::kFloat).equal(stored));
    EXPECT_TRUE(stored.to(dtype).to(at::kFloat).equal(stored));
    EXPECT_TRUE(storable_scale(stored, dtype).equal(stored));
    EXPECT_TRUE(stored.sign().equal(scale.sign()));
  }
}

TEST(StorableScale, RoundsToNearestEven) {
  const float half_ulp = 0x1p-11f;  // of float16 at 1
  const at::Tensor scale = at::tensor({1 + half_ulp, 1 + 3 * half_ulp, 1 + 1.01f * half_ulp});
  EXPECT_TRUE(storable_scale(scale, at::kFloat)
                  .equal(at::tensor({1.0f, 1 + 4 * half_ulp, 1 + 2 * half_ulp})));
}

TEST(StorableScale, IsNeverZeroAndKeepsTheSign) {
  const at::Tensor scale = at::tensor({0.0f, 1e-30f, -1e-30f, -1e-9f});
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16})
    EXPECT_TRUE(
        storable_scale(scale, dtype).equal(at::tensor({0x1p-24f, 0x1p-24f, -0x1p-24f, -0x1p-24f})));
}

TEST(StorableScale, RefusesWhatFloat16CannotHold) {
  EXPECT_NO_THROW(storable_scale(at::tensor({65504.0f}), at::kFloat));
  EXPECT_THROW(storable_scale(at::tensor({65536.0f}), at::kFloat), NumericalError);
  EXPECT_THROW(storable_scale(at::tensor({1.0f, -1e6f}), at::kFloat), NumericalError);
  EXPECT_THROW(storable_scale(at::tensor({std::nanf("")}), at::kFloat), NumericalError);
  // 65504 rounds up to 65536 in bfloat16, which float16 lacks.
  EXPECT_THROW(storable_scale(at::tensor({65504.0f}), at::kBFloat16), NumericalError);
  EXPECT_NO_THROW(storable_scale(at::tensor({65280.0f}), at::kBFloat16));
}

}  // namespace
}  // namespace ptq
