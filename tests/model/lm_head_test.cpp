#include "ptq/model/lm_head.h"

#include <algorithm>
#include <stdexcept>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "ptq/model/linear.h"
#include "support/allocation_meter.h"
#include "support/fake_model.h"

namespace ptq {
namespace {

TEST(LmHead, EqualsTheModelsLogitsToTheLastBitInEveryDtypeAndSlice) {
  const at::Tensor hidden = at::randn({11, 8});
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16, at::kHalf}) {
    test::FakeModel model({});
    model.head_ = model.head_.to(dtype);
    const at::Tensor expected = model.logits(hidden);
    for (const int64_t weight_bytes : {1, 5 * 8 * 4, 1 << 20}) {
      LmHead head(model, 4, weight_bytes);
      // A row's result does not depend on the rows beside it, so chunks change nothing.
      for (int64_t first = 0; first < 11; first += 4) {
        const int64_t count = std::min<int64_t>(4, 11 - first);
        EXPECT_TRUE(
            head.logits(hidden.narrow(0, first, count)).equal(expected.narrow(0, first, count)))
            << at::toString(dtype) << " " << weight_bytes << " " << first;
      }
    }
  }
}

TEST(LmHead, GivesBackTheGradientInEveryDtypeAndSlice) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16, at::kHalf, at::kDouble}) {
    test::FakeModel model({});
    model.head_ = model.head_.to(dtype);
    const at::Tensor gradient = at::randn({3, model.head_.size(0)});
    const at::Tensor weight = model.head_.to(at::kFloat).to(at::kDouble);
    const at::Tensor expected = gradient.to(at::kDouble).matmul(weight);
    // A sum of so many float32 products is off by as many units at most.
    const at::Tensor bound =
        gradient.abs().to(at::kDouble).matmul(weight.abs()) * weight.size(0) * 0x1p-24;
    for (const int64_t weight_bytes : {1, 5 * 8 * 4, 1 << 20}) {
      const at::Tensor found = LmHead(model, 4, weight_bytes).project_back(gradient);
      EXPECT_TRUE((found.to(at::kDouble) - expected).abs().le(bound).all().item<bool>())
          << at::toString(dtype) << " " << weight_bytes;
    }
  }
}

TEST(LmHead, TakesTheMemoryThatIsTold) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16, at::kHalf}) {
    test::FakeModel model({});
    model.head_ = model.head_.to(dtype);
    const test::AllocationMeter meter;
    const LmHead head(model);
    EXPECT_EQ(meter.peak_bytes() + static_cast<int64_t>(model.head_.nbytes()), LmHead::bytes(model))
        << at::toString(dtype);
  }
}

TEST(AffineInto, WritesItsColumnsOnly) {
  const at::Tensor x = at::randn({3, 8}), weight = at::randn({5, 8});
  const at::Tensor y = at::full({3, 9}, 7.0F);
  affine_into(x, weight, y.narrow(1, 2, 5));
  EXPECT_TRUE(y.narrow(1, 2, 5).equal(affine(x, weight)));
  EXPECT_TRUE(y.narrow(1, 0, 2).eq(7.0F).all().item<bool>());
  EXPECT_TRUE(y.narrow(1, 7, 2).eq(7.0F).all().item<bool>());
}

TEST(AffineInto, RefusesABufferThatDoesNotFit) {
  const at::Tensor x = at::randn({3, 8}), weight = at::randn({5, 8});
  EXPECT_THROW(affine_into(x, weight, at::empty({3, 6})), std::logic_error);
  EXPECT_THROW(affine_into(x, weight, at::empty({2, 5})), std::logic_error);
  EXPECT_THROW(affine_into(x, weight, at::empty({5, 3}).t()), std::logic_error);
  EXPECT_THROW(affine_into(x, weight, at::empty({3, 5}, at::kDouble)), std::logic_error);
}

}  // namespace
}  // namespace ptq
