#include "ptq/quant/sparse_weight.h"

#include <functional>
#include <stdexcept>
#include <vector>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace ptq {
namespace {

SparseWeight two_rows() {
  SparseWeight sparse;
  sparse.row_begin = at::tensor({0, 2, 3}, at::kInt);
  sparse.columns = at::tensor({1, 3, 0}, at::kInt);
  sparse.values = at::tensor({1.0F, 2.0F, 3.0F});
  return sparse;
}

TEST(SparseWeight, AcceptsRowsThatRise) {
  EXPECT_NO_THROW(two_rows().check(2, 4));
  EXPECT_EQ(two_rows().count(), 3);
  EXPECT_EQ(SparseWeight().count(), 0);
}

TEST(SparseWeight, RejectsEveryBrokenField) {
  const std::vector<std::function<void(SparseWeight&)>> faults = {
      [](SparseWeight& s) { s.row_begin = at::Tensor(); },
      [](SparseWeight& s) { s.row_begin = s.row_begin.to(at::kLong); },
      [](SparseWeight& s) {
        s.row_begin = at::tensor({0, 3}, at::kInt);
      },
      [](SparseWeight& s) {
        s.row_begin = at::tensor({1, 2, 3}, at::kInt);
      },
      [](SparseWeight& s) {
        s.row_begin = at::tensor({0, 2, 4}, at::kInt);
      },
      [](SparseWeight& s) {
        s.row_begin = at::tensor({0, 5, 3}, at::kInt);
      },
      [](SparseWeight& s) {
        s.columns = at::tensor({1, 3}, at::kInt);
      },
      [](SparseWeight& s) {
        s.columns = at::tensor({3, 1, 0}, at::kInt);
      },
      [](SparseWeight& s) {
        s.columns = at::tensor({1, 1, 0}, at::kInt);
      },
      [](SparseWeight& s) {
        s.columns = at::tensor({1, 4, 0}, at::kInt);
      },
      [](SparseWeight& s) {
        s.columns = at::tensor({-1, 3, 0}, at::kInt);
      },
      [](SparseWeight& s) { s.values = s.values.to(at::kDouble); },
  };
  for (const auto& damage : faults) {
    SparseWeight sparse = two_rows();
    damage(sparse);
    EXPECT_THROW(sparse.check(2, 4), std::logic_error);
  }
}

TEST(SparseWeight, PlacesItsValuesAndNothingElse) {
  const at::Tensor weight = at::arange(8, at::kFloat).reshape({2, 4}).neg();
  const at::Tensor before = weight.clone();
  EXPECT_TRUE(two_rows().placed_in(weight).equal(
      at::tensor({0.0F, 1.0F, -2.0F, 2.0F, 3.0F, -5.0F, -6.0F, -7.0F}).reshape({2, 4})));
  EXPECT_TRUE(weight.equal(before));
  EXPECT_TRUE(SparseWeight().placed_in(weight).is_same(weight));
  EXPECT_THROW(two_rows().placed_in(weight.to(at::kDouble)), std::logic_error);
  EXPECT_THROW(two_rows().placed_in(weight.t()), std::logic_error);
  EXPECT_THROW(two_rows().placed_in(at::zeros({3, 4})), std::logic_error);
}

}  // namespace
}  // namespace ptq
